/** Reads JSON-RPC messages, one a line, from an untrusted MCP server. Agent threads and docker thread. */
import type { JSONRPCMessage } from '@modelcontextprotocol/client';
import { BoundedLines, type LongLine } from './bounded-lines.js';
import { withoutDeepItems } from './deep-items.js';
import { FairleadError } from './errors.js';
import { shapeProblem, type JsonLimits } from './json-shape.js';
import { isRecord, type Loose } from './loose.js';
import { droppedAnswer } from './mcp-reader.js';
import { SpreadJson } from './spread-json.js';
import { TokenBucket } from './token-bucket.js';

/** Lines that are not messages. Programs do print to their server's stdout, but not so much for long. */
const STRAY_LINES = { burst: 10_000, perSecond: 1_000 };
/** Of a message whose lists have items that are too deep: these are left out, and the message is read. */
const MOST_LEVELS = 2_000;
const STRAY_TEXT = 200;
/** Of one message. A table of ten thousand rows and ten columns has half of the parts. */
const LIMITS: JsonLimits = { parts: 400_000, depth: 200 };
/** A message's own id stands at its beginning or its end. In a text inside of the message these quotes are escaped. */
const ID = /"id"\s*:\s*("[^"\\]{1,100}"|\d{1,15})/;
const METHOD = /"method"\s*:/;
const OUR_PROTOCOL = /"jsonrpc"\s*:/;
const ENDS = 256;
const BRACE = 123;
/** Several messages in one line, as an earlier revision of the protocol had them. */
const BATCH = /^\s*\[\s*\{/;

/** Replaces the SDK's ReadBuffer, which a megabyte of short lines that are not messages blocks for seconds. */
export class McpLines {
  readonly #maxLineBytes: number;
  readonly #read: (value: Loose) => JSONRPCMessage | null | undefined;
  readonly #lines: BoundedLines;
  readonly #spread: SpreadJson;
  readonly #strays = new TokenBucket(STRAY_LINES.burst, STRAY_LINES.perSecond);
  /** Of a batch, what has not been returned yet, the last one first. */
  #batch: Loose[] = [];
  /** The beginning of the first line that was not a message; '' if there was none. */
  stray = '';

  /** `read` returns null for a message that nobody wants, and undefined for what is none. What it throws, `next` throws. */
  constructor(maxLineBytes: number, read: (value: Loose) => JSONRPCMessage | null | undefined) {
    this.#maxLineBytes = maxLineBytes;
    this.#read = read;
    this.#lines = new BoundedLines(maxLineBytes);
    this.#spread = new SpreadJson(maxLineBytes);
  }

  /** Only when `next` has returned undefined. */
  push(chunk: Buffer): void {
    this.#lines.push(chunk);
  }

  /**
   * The next message; null for a line that is none; undefined when no whole line is left. An answer that is too long, or
   * that has too many parts, becomes an error answer to its request. ERR_MCP when too many lines are not messages.
   */
  next(): JSONRPCMessage | null | undefined {
    const waiting = this.#batch.pop();
    if (waiting) return this.#read(waiting) ?? null;
    const given = this.#lines.next();
    if (given === undefined) return undefined;
    if (typeof given !== 'string') return this.#refuse(given, `it is longer than ${this.#maxLineBytes} bytes`);
    const line = this.#spread.add(given);
    const problem = shapeProblem(line, LIMITS);
    if (problem === '') return this.#parse(line, parseJson);
    const trimmed = parseTrimmed(line);
    return trimmed === undefined ? this.#refuse(endsOf(line), problem) : this.#parse(line, () => trimmed);
  }

  /** Takes what has not been read. */
  takeRest(): Buffer {
    return this.#lines.takeRest();
  }

  #parse(line: string, parse: (line: string) => unknown): JSONRPCMessage | null {
    // Most lines that are no message show it at once; what JSON.parse throws costs twenty times as much.
    const mayBeOne =
      line.charCodeAt(0) === BRACE || line.trimStart().charCodeAt(0) === BRACE || BATCH.test(line.slice(0, ENDS));
    const parsed = mayBeOne ? parse(line) : undefined;
    if (parsed === undefined) {
      // It may be an answer that its program has cut or mixed up with other output.
      const ends = endsOf(line);
      const isMessage = mayBeOne && (OUR_PROTOCOL.test(ends.start) || OUR_PROTOCOL.test(ends.end));
      return isMessage ? this.#refuse(ends, 'it is no JSON') : this.#noteStray(line);
    }
    if (Array.isArray(parsed)) {
      this.#batch = parsed.filter(isRecord).toReversed();
      return null;
    }
    const message = this.#read(parsed as Loose);
    return message === undefined ? this.#noteStray(line) : message;
  }

  /** The call that waits for this answer fails at once, and no other. */
  #refuse({ start, end }: LongLine, problem: string): JSONRPCMessage | null {
    this.#noteStray(start);
    const id = idIn({ start, end });
    return id === undefined ? null : droppedAnswer(id, problem);
  }

  #noteStray(line: string): null {
    this.stray ||= line.slice(0, STRAY_TEXT);
    if (this.#strays.take()) return null;
    const { burst, perSecond } = STRAY_LINES;
    throw new FairleadError(
      'ERR_MCP',
      `the server printed more than ${burst} lines that are not MCP messages, and more than ${perSecond} a second`,
    );
  }
}

/** The message in a text of its own; `problem`: it is too large, else it is no JSON. */
export function parseMessage(text: string): { value: unknown } | { problem?: string } {
  const problem = shapeProblem(text, LIMITS);
  const value = problem === '' ? parseJson(text) : parseTrimmed(text);
  if (value === undefined && problem !== '') return { problem };
  return value === undefined ? {} : { value };
}

/** Undefined: it is too large without the items that are too deep, or it is no JSON. */
function parseTrimmed(text: string): unknown {
  if (shapeProblem(text, { ...LIMITS, depth: MOST_LEVELS }) !== '') return undefined;
  const value = parseJson(text);
  return value === undefined ? undefined : withoutDeepItems(value, LIMITS.depth);
}

/** The id of an answer that nobody can parse. */
export function answeredId(text: string): string | number | undefined {
  return idIn(endsOf(text));
}

function idIn({ start, end }: LongLine): string | number | undefined {
  const id = METHOD.test(start) ? undefined : (ID.exec(start) ?? ID.exec(end))?.[1];
  return id === undefined ? undefined : (JSON.parse(id) as string | number);
}

function endsOf(line: string): LongLine {
  return { start: line.slice(0, ENDS), end: line.slice(-ENDS) };
}

/** Undefined: not JSON. Some programs begin their output with a byte order mark, which `trim` takes for white space. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line.charCodeAt(0) === BRACE ? line : line.trim());
  } catch {
    return undefined;
  }
}
