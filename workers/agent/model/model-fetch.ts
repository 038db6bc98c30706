/**
 * The `fetch` that the SDK is given: undici's `request`, whose body is a Node stream. The web stream of Node's own fetch takes
 * a sixth of what a streamed answer costs its thread. No redirect is followed: the key is for the configured API alone.
 * Deadlines are the caller's. Agent threads.
 */
import type * as Undici from 'undici';
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import { boundedBody, MAX_ERROR_BYTES } from '../http/body.js';
import { readRetryAfter } from './model-errors.js';

/** By require, as the SDK (anthropic-sdk.ts). */
const { request } = createRequire(import.meta.url)('undici') as typeof Undici;

/** Where the API asks for a longer wait than this, the person is told at once instead of waiting in silence. */
const MAX_RETRY_WAIT_MS = 10_000;

const OWN_HEADERS = [['accept-encoding', 'identity']] as const;

/** Rejects with undici's errors, whose `code` is the system's, or with the signal's reason. */
export async function modelFetch(url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  // The SDK's requests have their JSON as a string.
  const bytes = Buffer.from((init.body as string | undefined) ?? '');
  const { statusCode, headers, body } = await request(url instanceof Request ? url.url : url, {
    method: init.method ?? 'GET',
    headers: [...new Headers(init.headers), ...OWN_HEADERS, ['content-length', String(bytes.length)] as const].flat(),
    body: once(bytes) as unknown as Readable, // any iterable, as undici documents and its types do not
    signal: init.signal ?? null,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  body.on('error', () => undefined); // whoever reads it is told; nobody reads one that is aborted before
  const known = toHeaders(headers);
  if (statusCode >= 200 && statusCode <= 299) {
    const response = new Response(null, { status: statusCode, headers: known });
    // The SDK iterates over it, as it would over a web stream.
    return Object.defineProperty(response, 'body', { value: body });
  }
  // The SDK waits as long as `retry-after` says, an hour if need be: a long one is made final here.
  if ((readRetryAfter(known) ?? 0) > MAX_RETRY_WAIT_MS) known.set('x-should-retry', 'false');
  const told = await boundedBody(body, MAX_ERROR_BYTES);
  return new Response(told.length > 0 ? told : null, { status: statusCode, headers: known });
}

/** undici keeps a request until its answer has ended: of one whose body it was given whole, a conversation's JSON for each turn. */
function once(bytes: Buffer): AsyncIterable<Buffer> {
  let left: Buffer | undefined = bytes;
  // Not a generator: that keeps what it has yielded.
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
