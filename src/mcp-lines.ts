/** MCP's stdio framing, one JSON-RPC message a line, read from whom nobody trusts: bounded, in linear time. Every thread. */
import { deserializeMessage, type JSONRPCMessage } from '@modelcontextprotocol/client';
import { FairleadError } from './errors.js';

/** Lines in a row that are no message: servers do print to stdout by mistake, but not for ever. */
const MAX_STRAY_LINES = 1_000;
const STRAY_TEXT = 200;
const NEWLINE = 0x0a;

/** Not the SDK's ReadBuffer: a megabyte of short lines that are no messages holds that for seconds in one call. */
export class McpLines {
  readonly #maxLineBytes: number;
  /** Of the line that has not ended. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #strayLines = 0;
  /** The beginning of the first line that was no message; '' when all were. */
  stray = '';

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The messages that this chunk ends. ERR_MCP when a line is too long, or too many in a row are none. */
  *read(chunk: Buffer): Iterable<JSONRPCMessage> {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#append(chunk.subarray(from, end));
      from = end + 1;
      const message = this.#endLine();
      if (message) yield message;
    }
    if (from < chunk.length) this.#append(chunk.subarray(from));
  }

  /** What has been read of a line that has not ended; it is forgotten here. */
  takeRest(): Buffer {
    const rest = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return rest;
  }

  #append(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxLineBytes) {
      throw new FairleadError('ERR_MCP', `the MCP server sent a line of more than ${this.#maxLineBytes} bytes`);
    }
    this.#parts.push(part);
  }

  #endLine(): JSONRPCMessage | undefined {
    const line = (this.#parts.length === 1 ? this.#parts[0] : undefined) ?? Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    try {
      const message = deserializeMessage(line.toString('utf8'));
      this.#strayLines = 0;
      return message;
    } catch {
      // No JSON, or none of JSON-RPC: the next line is read.
      this.stray ||= line.toString('utf8', 0, STRAY_TEXT);
      if (++this.#strayLines < MAX_STRAY_LINES) return undefined;
      throw new FairleadError('ERR_MCP', `the MCP server printed ${MAX_STRAY_LINES} lines in a row that are no MCP`);
    }
  }
}
