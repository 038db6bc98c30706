/** The demo model's phrases, each of which becomes a tool call. Pure; agent threads. */
import type { ModelTool } from './model.js';

export interface DemoCall {
  /** The tool's name in the model request. */
  name: string;
  input: Record<string, unknown>;
}

export const DEMO_HELP =
  'I understand a few plain phrases, and join them with “and”: “list all files in /workspace”, “write hello to a.txt”, ' +
  '“read a.txt”, “run ls -l”, “search hello”. “call TOOL {json}” calls any tool, with the arguments that you write.';

interface Phrase {
  pattern: RegExp;
  tool: string;
  input: (match: RegExpExecArray) => Record<string, unknown>;
}

/** The first match decides. NEXT_PHRASE splits messages at these verbs. */
const PHRASES: readonly Phrase[] = [
  {
    pattern: /^list (?<all>all )?(?:the |my )?(?:files|everything)(?: (?:in|of|under|below) (?<path>\S+))?$/i,
    tool: 'list_files',
    input: ({ groups }) => ({ path: groups?.['path'], recursive: groups?.['all'] ? true : undefined }),
  },
  {
    pattern: /^write (?<content>[^]+) (?:to|into) (?<path>\S+)$/i,
    tool: 'write_file',
    input: ({ groups }) => ({ path: groups?.['path'], content: unquote(groups?.['content'] ?? '') }),
  },
  {
    pattern: /^(?:read|show) (?:me )?(?:the )?(?:file )?(?<path>\S+)$/i,
    tool: 'read_file',
    input: ({ groups }) => ({ path: groups?.['path'] }),
  },
  {
    pattern: /^run (?<command>[^]+)$/i,
    tool: 'run_command',
    input: ({ groups }) => ({ command: unquote(groups?.['command'] ?? '') }),
  },
  {
    pattern: /^search (?:for )?(?<text>[^]+?)(?: in (?<path>\/\S*))?$/i,
    tool: 'search_files',
    input: ({ groups }) => ({ pattern: escapePattern(unquote(groups?.['text'] ?? '')), path: groups?.['path'] }),
  },
];

const CALL = /^(?:please,?\s+)?call\s+(?<name>[\w.-]+)(?:\s+(?<json>\{[^]*))?$/i;
/** A list of hundreds of tools helps nobody. */
const MAX_TOLD = 40;

/** `call TOOL {json}`: the call, or what is wrong with it, in words. Undefined for another message. */
export function readCall(message: string, tools: readonly ModelTool[]): DemoCall | string | undefined {
  const { name, json = '{}' } = CALL.exec(message.trim())?.groups ?? {};
  if (name === undefined) return undefined;
  const tool = findTool(tools, name);
  if (!tool) {
    const names = tools.map((each) => each.name);
    const more = names.length > MAX_TOLD ? ` and ${names.length - MAX_TOLD} more` : '';
    return `There is no tool ${name} here. There are: ${names.slice(0, MAX_TOLD).join(', ')}${more}.`;
  }
  const input = parseObject(json);
  return typeof input === 'string' ? input : { name: tool.name, input };
}

function parseObject(json: string): Record<string, unknown> | string {
  try {
    return JSON.parse(json) as Record<string, unknown>; // it begins with a brace
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return `The arguments are not valid JSON: ${error.message}.`;
  }
}

/** Longer messages are not read, since the patterns take quadratic time on hostile input. */
const MAX_MESSAGE = 10_000;

const NEXT_PHRASE = /[,;.]?\s+(?:and then|and|then)\s+(?=(?:list|write|read|show|run|search)\s)/i;

/** The calls that a message asks for; undefined when one of its phrases needs a tool that is not offered. */
export function readPhrases(message: string, tools: readonly ModelTool[]): DemoCall[] | undefined {
  if (message.length > MAX_MESSAGE) return [];
  const calls: DemoCall[] = [];
  for (const part of message.split(NEXT_PHRASE)) {
    const text = part
      .trim()
      .replace(/^please,?\s+/i, '')
      .replace(/(?<=\S)(?:[?!]+|\.)$/, '');
    for (const phrase of PHRASES) {
      const match = phrase.pattern.exec(text);
      if (!match) continue;
      const tool = findTool(tools, phrase.tool);
      if (!tool) return undefined;
      calls.push({ name: tool.name, input: onlyKnown(phrase.input(match), tool) });
      break;
    }
  }
  return calls;
}

/** Finds the tool with or without its server's prefix. */
function findTool(tools: readonly ModelTool[], name: string): ModelTool | undefined {
  return tools.find((tool) => tool.name === name) ?? tools.find((tool) => tool.name.endsWith(`_${name}`));
}

/** Drops arguments that the tool does not have. */
function onlyKnown(input: Record<string, unknown>, tool: ModelTool): Record<string, unknown> {
  const properties = tool.inputSchema['properties'];
  const known = typeof properties === 'object' && properties !== null ? Object.keys(properties) : Object.keys(input);
  return Object.fromEntries(Object.entries(input).filter(([key, value]) => value !== undefined && known.includes(key)));
}

function unquote(text: string): string {
  return /^(["'`“«])[^]*["'`”»]$/.test(text) ? text.slice(1, -1) : text;
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}
