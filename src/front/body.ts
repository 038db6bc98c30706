/** A request's body: bounded, JSON. Main thread. */
import { FairleadError } from '../errors.js';
import { badFrame } from './frames.js';
import type { Exchange } from './http.js';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The body as JSON; undefined when there is none. Must be called before the handler first waits, as uWebSockets demands.
 * ERR_TOO_LARGE, ERR_BAD_FRAME. An aborted request's promise stays open and is dropped with it.
 */
export function readJson(exchange: Exchange, maxBytes: number): Promise<unknown> {
  const { contentLength, contentType } = exchange.head;
  return new Promise((resolve, reject) => {
    if (Number(contentLength) > maxBytes) {
      reject(tooLarge(maxBytes));
      return;
    }
    let chunks: Buffer[] | undefined = [];
    let bytes = 0;
    exchange.onData((chunk, isLast) => {
      if (chunks === undefined) return;
      bytes += chunk.byteLength;
      if (bytes > maxBytes) {
        chunks = undefined;
        reject(tooLarge(maxBytes));
        return;
      }
      // A copy: uWebSockets takes the chunk's memory back.
      chunks.push(Buffer.from(new Uint8Array(chunk)));
      if (!isLast) return;
      try {
        resolve(parse(Buffer.concat(chunks), contentType));
      } catch (error) {
        reject(error);
      }
      chunks = undefined;
    });
  });
}

function parse(body: Buffer, contentType: string): unknown {
  if (body.length === 0) return undefined;
  // Also keeps out what a form of another page could send without a preflight.
  if (!/^application\/json\s*(;|$)/i.test(contentType)) throw badFrame('send Content-Type: application/json');
  try {
    return JSON.parse(utf8.decode(body));
  } catch (error) {
    throw badFrame(`the body is not JSON: ${(error as Error).message}`);
  }
}

function tooLarge(maxBytes: number): FairleadError {
  return new FairleadError('ERR_TOO_LARGE', `the body is over ${maxBytes} bytes`);
}
