/**
 * The `fetch` for the SDK: undici's `request`, whose body is a Node stream. The web stream of Node's fetch takes a sixth of a
 * streamed answer's CPU time. Redirects are not followed, since the key is for the configured API alone. The caller sets
 * deadlines. Agent threads.
 */
import type * as Undici from 'undici';
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { createProxyAgent, proxyRefusal, undici } from '../../../src/shared/proxy-agent.js';
import { boundedBody, MAX_ERROR_BYTES } from '../http/body.js';
import { modelError } from './model-errors.js';

const { request } = undici();

const DECODERS = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

const OWN_HEADERS = [['accept-encoding', 'identity']] as const;

export type ModelFetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Through the proxy, if there is one. It rejects with undici's errors, whose `code` is the system's, or with the signal's reason. */
export function createModelFetch(proxy: string | undefined): ModelFetch {
  if (proxy === undefined) return (url, init) => exchange(url, init);
  const dispatcher = createProxyAgent(proxy);
  return async (url, init) => {
    try {
      return await exchange(url, init, dispatcher);
    } catch (error) {
      const refusal = proxyRefusal(error, proxy);
      throw refusal === undefined ? error : modelError(`the model’s API cannot be reached: ${refusal}`, error);
    }
  };
}

async function exchange(
  url: string | URL | Request,
  init: RequestInit = {},
  dispatcher?: Undici.Dispatcher,
): Promise<Response> {
  // The SDK's request bodies are JSON strings.
  const bytes = Buffer.from((init.body as string | undefined) ?? '');
  const { statusCode, headers, body } = await request(url instanceof Request ? url.url : url, {
    method: init.method ?? 'GET',
    headers: [...new Headers(init.headers), ...OWN_HEADERS, ['content-length', String(bytes.length)] as const].flat(),
    body: once(bytes) as unknown as Readable, // undici takes any iterable, which its types leave out
    signal: init.signal ?? null,
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(dispatcher ? { dispatcher } : {}),
  });
  body.on('error', () => undefined); // readers get the error; an aborted body may have no reader
  const known = toHeaders(headers);
  const plain = decoded(body, known.get('content-encoding') ?? '');
  if (statusCode >= 200 && statusCode <= 299) {
    const response = new Response(null, { status: statusCode, headers: known });
    // The SDK iterates over the body as over a web stream.
    return Object.defineProperty(response, 'body', { value: plain });
  }
  const told = await boundedBody(plain, MAX_ERROR_BYTES);
  return new Response(told.length > 0 ? told : null, { status: statusCode, headers: known });
}

/** Some gateways compress whatever they are asked for. What they send is bounded where it is read, behind this. */
function decoded(body: Readable, encoding: string): Readable {
  const decoder = DECODERS.get(encoding.trim().toLowerCase())?.();
  if (!decoder) return body;
  // Either's end or failure is the other's.
  pipeline(body, decoder, () => undefined);
  return decoder;
}

/** Releases the bytes once they are read: undici keeps a request, here a whole conversation's JSON, until its answer has ended. */
function once(bytes: Buffer): AsyncIterable<Buffer> {
  let left: Buffer | undefined = bytes;
  // Not a generator, which would keep what it has yielded.
  const next = (): Promise<IteratorResult<Buffer, undefined>> => {
    const value = left;
    left = undefined;
    return Promise.resolve(value ? { done: false, value } : { done: true, value });
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

function toHeaders(headers: Undici.Dispatcher.ResponseData['headers']): Headers {
  const known = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) known.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return known;
}
