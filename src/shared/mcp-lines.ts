/** Reads JSON-RPC messages, one a line, from an untrusted MCP server. Agent threads and docker thread. */
import { deserializeMessage, type JSONRPCMessage } from '@modelcontextprotocol/client';
import { FairleadError } from './errors.js';
import { LineReader } from './line-reader.js';

/** Most lines in a row that are not messages. Servers do print to stdout by mistake, but not for ever. */
const MAX_STRAY_LINES = 1_000;
const STRAY_TEXT = 200;

/** Replaces the SDK's ReadBuffer, which a megabyte of short lines that are not messages blocks for seconds. */
export class McpLines {
  readonly #lines: LineReader;
  #strayLines = 0;
  /** The beginning of the first line that was not a message; '' if there was none. */
  stray = '';

  constructor(maxLineBytes: number) {
    this.#lines = new LineReader(maxLineBytes, (bytes) => {
      return new FairleadError('ERR_MCP', `the MCP server sent a line of more than ${bytes} bytes`);
    });
  }

  /** The messages that end in this chunk. ERR_MCP when a line is too long, or too many lines in a row are not messages. */
  *read(chunk: Buffer): Iterable<JSONRPCMessage> {
    for (const line of this.#lines.read(chunk)) {
      const message = this.#parse(line);
      if (message) yield message;
    }
  }

  /** Takes what has been read of the unfinished line. */
  takeRest(): Buffer {
    return this.#lines.takeRest();
  }

  #parse(line: string): JSONRPCMessage | undefined {
    try {
      const message = deserializeMessage(line);
      this.#strayLines = 0;
      return message;
    } catch {
      // Not JSON, or not JSON-RPC: skip the line.
      this.stray ||= line.slice(0, STRAY_TEXT);
      if (++this.#strayLines < MAX_STRAY_LINES) return undefined;
      throw new FairleadError(
        'ERR_MCP',
        `the MCP server printed ${MAX_STRAY_LINES} lines in a row that are not MCP messages`,
      );
    }
  }
}
