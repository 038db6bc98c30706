/** Reads a request's body, of bounded length. Main thread. */
import { FairleadError } from '../shared/errors.js';
import { badFrame } from './frames.js';
import type { Exchange } from './http.js';
import { parseJson } from './parse-json.js';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The body as JSON; undefined without a body. ERR_BAD_FRAME when it is not JSON; otherwise as `readBody`. */
export async function readJson(exchange: Exchange, maxBytes: number): Promise<unknown> {
  return parse(await readBody(exchange, maxBytes), exchange.head.contentType);
}

/** The body as text. ERR_BAD_FRAME when it is not UTF-8; otherwise as `readBody`. */
export async function readText(exchange: Exchange, maxBytes: number): Promise<string> {
  const body = await readBody(exchange, maxBytes);
  try {
    return utf8.decode(body);
  } catch (error) {
    throw badFrame(`the body is not UTF-8: ${(error as Error).message}`);
  }
}

/**
 * Must be called before the handler first waits, as uWebSockets demands. ERR_TOO_LARGE. When the request is aborted the
 * promise never settles, and is collected with the request.
 */
function readBody(exchange: Exchange, maxBytes: number): Promise<Buffer> {
  const { contentLength } = exchange.head;
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
      // A copy, since uWebSockets reuses the chunk's memory.
      chunks.push(Buffer.from(new Uint8Array(chunk)));
      if (!isLast) return;
      resolve(Buffer.concat(chunks));
      chunks = undefined;
    });
  });
}

function parse(body: Buffer, contentType: string): unknown {
  if (body.length === 0) return undefined;
  // This also refuses what a form on another site could send without a preflight.
  if (!/^application\/json\s*(;|$)/i.test(contentType)) throw badFrame('send Content-Type: application/json');
  try {
    return parseJson(utf8.decode(body));
  } catch (error) {
    throw badFrame(`the body is not JSON: ${(error as Error).message}`);
  }
}

function tooLarge(maxBytes: number): FairleadError {
  return new FairleadError('ERR_TOO_LARGE', `the body is over ${maxBytes} bytes`);
}
