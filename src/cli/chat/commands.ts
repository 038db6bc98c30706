/** Parses a line typed into the chat: a message or a command. Pure. */

export const COMMANDS = {
  cancel: 'stop the running turn (Ctrl-C does the same)',
  reset: 'forget the conversation; the workspace stays',
  restart: 'restart the sandbox; its files stay (/restart discard: also if they cannot be saved)',
  sessions: 'list your sessions; /sessions 2 switches to the second',
  new: 'start a new session',
  history: 'show the conversation so far',
  files: 'list the workspace; /files FOLDER lists a folder',
  upload: 'send a file: /upload LOCAL [TO]; a file that is dropped into the line is sent too',
  download: 'get a file, or a folder as tar.gz: /download PATH [TO]',
  mcp: 'list the MCP servers with their states',
  prompts: 'list the MCP servers’ prompts; /SERVER:PROMPT sends one',
  quit: 'leave; --session resumes the session later',
  help: 'show this list',
} as const;

export type Command = keyof typeof COMMANDS;

export type TypedLine =
  | { kind: 'message'; text: string }
  | { kind: 'command'; command: Command; argument: string }
  /** `/SERVER:PROMPT arguments`: the text of the server's prompt becomes the message. */
  | { kind: 'prompt'; server: string; prompt: string; argument: string }
  | { kind: 'unknown'; name: string }
  | { kind: 'empty' };

/** A command is `/name argument`; two slashes start a message that begins with one. */
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
  // A path such as /workspace/a.txt is a message.
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
