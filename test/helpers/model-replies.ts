/** What the stand-in model can say: the shapes a test scripts, and the script it follows when a test gives none. */
import { isObject } from './messages-rules.js';

/** Text may come from an async generator: it streams as it yields, so that a test can hold a block open. */
export type ReplyText = string | AsyncIterable<string>;

/** `gate` is waited for before the block begins. */
export type Block = { gate?: Promise<unknown> } & (
  | { text: ReplyText }
  | { thinking: ReplyText; signature?: string }
  | { redacted: string }
  | { tool: string; input: unknown; id?: string }
  /** The raw JSON of a tool's arguments, to send what does not parse. */
  | { tool: string; inputJson: string; id?: string }
);

/** A step of a reply given as a generator: a block, a ping, an error event inside the stream, or a cut socket. */
export type Step = Block | { ping: true } | { error: ApiError } | { cut: true };

export interface ApiError {
  type: string;
  message: string;
}

export interface ReplyUsage {
  input_tokens?: number;
  output_tokens?: number;
  cache_read_input_tokens?: number;
  cache_creation_input_tokens?: number;
}

export interface Reply {
  /** May be empty: a model that answers nothing. */
  blocks?: Block[] | AsyncIterable<Step>;
  /** `tool_use` where a tool was called, else `end_turn`. */
  stopReason?: string;
  usage?: ReplyUsage;
  /** Characters per delta; 16 unless told. */
  chunk?: number;
  /** Before the first token. */
  delayMs?: number;
  /** Between deltas. */
  gapMs?: number;
  /** Waited for before the answer's headers are sent. */
  gate?: Promise<unknown>;
  /** The socket is destroyed after so many deltas. */
  cutAfter?: number;
  /** An HTTP error with the API's error body. */
  status?: number;
  error?: Partial<ApiError>;
  /** The `retry-after` header, seconds. */
  retryAfter?: number;
  /** Of the answer, beside its own: for example what remains of the API's limits. */
  headers?: Record<string, string>;
  /** A page in place of an answer, as a proxy in the way sends it; with status 502 unless told. */
  html?: string;
}

/** The request's body, loosely: the rules have judged it by the time a script sees it. */
export interface RequestBody {
  model: string;
  max_tokens: number;
  stream?: boolean;
  system?: unknown;
  tools?: { name: string; input_schema?: { properties?: Record<string, unknown> }; [key: string]: unknown }[];
  messages: { role: 'user' | 'assistant'; content: string | Record<string, unknown>[] }[];
  [key: string]: unknown;
}

export function text(value: string): Reply {
  return { blocks: [{ text: value }] };
}

export function tool(name: string, input: unknown = {}, id?: string): Reply {
  return { blocks: [id === undefined ? { tool: name, input } : { tool: name, input, id }] };
}

/** The offered tool of that name, with or without its server's prefix. */
export function offeredTool(body: RequestBody, name: string): string | undefined {
  return body.tools?.find((tool) => tool.name === name || tool.name.endsWith(`__${name}`))?.name;
}

/** The text of the last message, or its tool results' text. */
export function lastText(body: RequestBody): string {
  const content = body.messages.at(-1)?.content ?? '';
  if (typeof content === 'string') return content;
  return content.map((block) => blockText(block)).join('\n');
}

/** The results in the last message; empty when a person spoke. */
export function toolResults(body: RequestBody): { id: string; isError: boolean; text: string }[] {
  const content = body.messages.at(-1)?.content;
  if (!Array.isArray(content)) return [];
  return content
    .filter((block) => block['type'] === 'tool_result')
    .map((block) => ({
      id: String(block['tool_use_id']),
      isError: block['is_error'] === true,
      text: blockText(block),
    }));
}

function blockText(block: Record<string, unknown>): string {
  if (typeof block['text'] === 'string') return block['text'];
  const content = block['content'];
  if (typeof content === 'string') return content;
  return Array.isArray(content)
    ? content.map((inner: unknown) => (isObject(inner) ? blockText(inner) : '')).join('\n')
    : '';
}

/** «List all files in /workspace» calls list_files where it is offered and then tells what came; the rest is answered at once. */
export function defaultReply(body: RequestBody): Reply {
  const results = toolResults(body);
  if (results.length > 0) return text(`Here is what I found:\n${results.map((result) => result.text).join('\n')}`);
  const name = /list all files/i.test(lastText(body)) ? offeredTool(body, 'list_files') : undefined;
  if (name === undefined) return text('Hello from the stand-in model.');
  const schema = body.tools?.find((tool) => tool.name === name)?.input_schema;
  return tool(name, schema?.properties && 'path' in schema.properties ? { path: '/workspace' } : {});
}
