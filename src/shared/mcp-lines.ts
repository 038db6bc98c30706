/** Reads JSON-RPC messages, one a line, from an untrusted MCP server. Agent threads and docker thread. */
import { parseJSONRPCMessage, type JSONRPCMessage } from '@modelcontextprotocol/client';
import { BoundedLines, type LongLine } from './bounded-lines.js';
import { FairleadError } from './errors.js';
import { shapeProblem, type JsonLimits } from './json-shape.js';
import { TokenBucket } from './token-bucket.js';

/** Lines that are not messages. Programs do print to their server's stdout, but not so much for long. */
const STRAY_LINES = { burst: 10_000, perSecond: 1_000 };
const STRAY_TEXT = 200;
/** Of one message. A table of ten thousand rows and ten columns has half of the parts. */
const LIMITS: JsonLimits = { parts: 400_000, depth: 200 };
/** JSON-RPC's “internal error”. */
const INTERNAL_ERROR = -32_603;
/** A message's own id stands at its beginning or its end. In a text inside of the message these quotes are escaped. */
const ID = /"id"\s*:\s*("[^"\\]{1,100}"|\d{1,15})/;
const METHOD = /"method"\s*:/;
const ENDS = 256;
const BRACE = 123;

/** Replaces the SDK's ReadBuffer, which a megabyte of short lines that are not messages blocks for seconds. */
export class McpLines {
  readonly #maxLineBytes: number;
  readonly #isWanted: (value: object) => boolean;
  readonly #lines: BoundedLines;
  readonly #strays = new TokenBucket(STRAY_LINES.burst, STRAY_LINES.perSecond);
  /** The beginning of the first line that was not a message; '' if there was none. */
  stray = '';

  /** `isWanted` judges a message before its shape is checked, which costs more than the parsing. What it throws, `next` throws. */
  constructor(maxLineBytes: number, isWanted: (value: object) => boolean) {
    this.#maxLineBytes = maxLineBytes;
    this.#isWanted = isWanted;
    this.#lines = new BoundedLines(maxLineBytes);
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
    const line = this.#lines.next();
    if (line === undefined) return undefined;
    if (typeof line !== 'string') return this.#refuse(line, `it is longer than ${this.#maxLineBytes} bytes`);
    const problem = shapeProblem(line, LIMITS);
    if (problem !== '') return this.#refuse({ start: line.slice(0, ENDS), end: line.slice(-ENDS) }, problem);
    return this.#parse(line);
  }

  /** Takes what has not been read. */
  takeRest(): Buffer {
    return this.#lines.takeRest();
  }

  #parse(line: string): JSONRPCMessage | null {
    // Most lines that are no message show it at once; what JSON.parse throws costs twenty times as much.
    if (line.charCodeAt(0) !== BRACE && line.trimStart().charCodeAt(0) !== BRACE) return this.#noteStray(line);
    const value = parseObject(line);
    if (!value) return this.#noteStray(line);
    if (!this.#isWanted(value)) return null;
    try {
      return parseJSONRPCMessage(value);
    } catch {
      const { id, method } = value as { id?: unknown; method?: unknown };
      // It is the one answer to a request of ours, so that request fails at once.
      if (method === undefined && (typeof id === 'string' || typeof id === 'number'))
        return dropped(id, 'it is no JSON-RPC answer');
      return this.#noteStray(line);
    }
  }

  /** The call that waits for this answer fails at once, and no other. */
  #refuse({ start, end }: LongLine, problem: string): JSONRPCMessage | null {
    this.#noteStray(start);
    const id = METHOD.test(start) ? undefined : (ID.exec(start) ?? ID.exec(end))?.[1];
    if (id === undefined) return null;
    return dropped(JSON.parse(id) as string | number, problem);
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

function dropped(id: string | number, problem: string): JSONRPCMessage {
  return { jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message: `the answer was dropped: ${problem}` } };
}

/** Undefined: not JSON. A line that begins with a brace is an object. */
function parseObject(line: string): object | undefined {
  try {
    return JSON.parse(line) as object;
  } catch {
    return undefined;
  }
}
