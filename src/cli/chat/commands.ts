/** What a line typed into the chat is: a message, or a command. Pure. */

export const COMMANDS = {
  cancel: 'stop the running turn (Ctrl-C does the same)',
  reset: 'forget the conversation; the workspace stays',
  sessions: 'your sessions; /sessions 2 goes to the second',
  new: 'start a new session',
  history: 'the conversation so far',
  mcp: 'the MCP servers, and how they are',
  prompts: 'prompts of the MCP servers; /SERVER:PROMPT sends one',
  quit: 'leave; the session stays and can be resumed',
  help: 'this list',
} as const;

export type Command = keyof typeof COMMANDS;

export type TypedLine =
  | { kind: 'message'; text: string }
  | { kind: 'command'; command: Command; argument: string }
  /** `/SERVER:PROMPT arguments`: what the server's prompt says is the message. */
  | { kind: 'prompt'; server: string; prompt: string; argument: string }
  | { kind: 'unknown'; name: string }
  | { kind: 'empty' };

/** `/name argument`; a message that starts with a slash is written with two. */
export function parseLine(text: string): TypedLine {
  const trimmed = text.trim();
  if (trimmed === '') return { kind: 'empty' };
  if (trimmed.startsWith('//')) return { kind: 'message', text: trimmed.slice(1) };
  const prompted = /^\/([\w-]{1,32}):(\S+)(?:\s+(.*))?$/s.exec(trimmed);
  if (prompted) {
    const [, server = '', prompt = '', argument = ''] = prompted;
    return { kind: 'prompt', server, prompt, argument: argument.trim() };
  }
  const match = /^\/([a-z][\w-]*)(?:\s+(.*))?$/s.exec(trimmed);
  // A path such as /workspace/a.txt is no command.
  if (match === null) return { kind: 'message', text: trimmed };
  const [, name = '', argument = ''] = match;
  return isCommand(name) ? { kind: 'command', command: name, argument: argument.trim() } : { kind: 'unknown', name };
}

function isCommand(name: string): name is Command {
  return Object.hasOwn(COMMANDS, name);
}

export function helpText(): string {
  const lines = Object.entries(COMMANDS).map(([name, what]) => `  /${name.padEnd(9)} ${what}`);
  return [...lines, '  //…        a message that starts with a slash'].join('\n');
}
