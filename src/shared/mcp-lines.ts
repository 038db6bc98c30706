/** JSON-RPC messages, one a line, read from an MCP server that nobody trusts. Agent threads and docker thread. */
import { deserializeMessage, type JSONRPCMessage } from '@modelcontextprotocol/client';
import { FairleadError } from './errors.js';
import { LineReader } from './line-reader.js';

/** Lines in a row that are no message: servers do print to stdout by mistake, but not for ever. */
const MAX_STRAY_LINES = 1_000;
const STRAY_TEXT = 200;

/** Not the SDK's ReadBuffer: a megabyte of short lines that are no messages holds that for seconds in one call. */
export class McpLines {
  readonly #lines: LineReader;
  #strayLines = 0;
  /** The beginning of the first line that was no message; '' when all were. */
  stray = '';

  constructor(maxLineBytes: number) {
    this.#lines = new LineReader(maxLineBytes, (bytes) => {
      return new FairleadError('ERR_MCP', `the MCP server sent a line of more than ${bytes} bytes`);
    });
  }

  /** The messages that this chunk ends. ERR_MCP when a line is too long, or too many in a row are none. */
  *read(chunk: Buffer): Iterable<JSONRPCMessage> {
    for (const line of this.#lines.read(chunk)) {
      const message = this.#parse(line);
      if (message) yield message;
    }
  }

  /** What has been read of a line that has not ended; it is forgotten here. */
  takeRest(): Buffer {
    return this.#lines.takeRest();
  }

  #parse(line: string): JSONRPCMessage | undefined {
    try {
      const message = deserializeMessage(line);
      this.#strayLines = 0;
      return message;
    } catch {
      // No JSON, or none of JSON-RPC: the next line is read.
      this.stray ||= line.slice(0, STRAY_TEXT);
      if (++this.#strayLines < MAX_STRAY_LINES) return undefined;
      throw new FairleadError('ERR_MCP', `the MCP server printed ${MAX_STRAY_LINES} lines in a row that are no MCP`);
    }
  }
}
