/** The one door for requests' bodies: bounded in bytes, and JSON in parts and levels too. Only the router opens it. Main thread. */
import { badFrame } from './frames.js';
import { FairleadError } from '../shared/errors.js';
import type { Exchange } from './http.js';
import { checkJson, parseJson } from './parse-json.js';

/**
 * What a route takes. `json`: the parsed value, undefined without a body. `json-text`: JSON that another thread parses, as
 * checked text. `form`: the fields of a form. `none`: the body is read and dropped.
 */
export interface BodyKinds {
  json: unknown;
  'json-text': string;
  form: URLSearchParams;
  none: undefined;
}

export type BodyKind = keyof BodyKinds;

const utf8 = new TextDecoder('utf-8', { fatal: true });

export interface BodyLimits {
  maxBytes: number;
  /** Counts the bytes of a piece as it comes. An error refuses the body, once it has been read to its end. */
  charge?: (bytes: number) => FairleadError | undefined;
}

/**
 * Must be called before the handler first waits, as uWebSockets demands. ERR_TOO_LARGE; what `charge` returns; ERR_BAD_FRAME for
 * what is not JSON of that kind. When the request is aborted the promise never settles, and is collected with the request.
 */
export async function readBody(exchange: Exchange, kind: BodyKind, limits: BodyLimits): Promise<BodyKinds[BodyKind]> {
  const { head } = exchange;
  const body = hasBody(head) ? await readBytes(exchange, limits) : Buffer.alloc(0);
  if (kind === 'none') return undefined;
  if (kind === 'form') return parseForm(head, body);
  if (kind === 'json' && body.length === 0) return undefined;
  // This also refuses what a form on another site could send without a preflight. MCP's server checks the type itself.
  if (kind === 'json' && !/^application\/json\s*(;|$)/i.test(head.contentType)) {
    throw badFrame('send Content-Type: application/json');
  }
  try {
    const text = utf8.decode(body);
    if (kind === 'json') return parseJson(text);
    checkJson(text);
    return text;
  } catch (error) {
    throw badFrame(`the body is not JSON: ${(error as Error).message}`);
  }
}

function parseForm({ contentType }: Exchange['head'], body: Buffer): URLSearchParams {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType)) {
    throw badFrame('send Content-Type: application/x-www-form-urlencoded');
  }
  return new URLSearchParams(body.toString());
}

function hasBody({ contentLength, chunked }: Exchange['head']): boolean {
  return chunked || Number(contentLength) > 0;
}

function readBytes(exchange: Exchange, { maxBytes, charge }: BodyLimits): Promise<Buffer> {
  const { contentLength } = exchange.head;
  return new Promise((resolve, reject) => {
    if (Number(contentLength) > maxBytes) {
      reject(tooLarge(maxBytes));
      return;
    }
    let chunks: Buffer[] = [];
    let bytes = 0;
    let done = false;
    let refused: FairleadError | undefined;
    exchange.onData((chunk, isLast) => {
      if (done) return;
      bytes += chunk.byteLength;
      refused = charge?.(chunk.byteLength) ?? refused;
      done = isLast || bytes > maxBytes;
      // A copy, since uWebSockets reuses the chunk's memory. A refused body is not kept, and is still read: an answer before
      // its end would be lost where the client sends on.
      if (refused || bytes > maxBytes) chunks = [];
      else chunks.push(Buffer.from(new Uint8Array(chunk)));
      if (!done) return;
      if (bytes > maxBytes) reject(tooLarge(maxBytes));
      else if (refused) reject(refused);
      else resolve(Buffer.concat(chunks));
      chunks = [];
    });
  });
}

function tooLarge(maxBytes: number): FairleadError {
  return new FairleadError('ERR_TOO_LARGE', `the body is over ${maxBytes} bytes`);
}
