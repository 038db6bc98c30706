/** Failures of the model as ERR_MODEL, with messages for the user. Pure; agent threads. */
import { cutText } from '../../../src/shared/cut-text.js';
import { FairleadError, type ErrorOptions } from '../../../src/shared/errors.js';
import { isObject } from './clean-blocks.js';
import { APIConnectionError, APIConnectionTimeoutError, APIError } from './anthropic-sdk.js';

const MAX_API_MESSAGE = 300;

/** Errors inside a stream have no status, but a type that stands for one. */
const STATUS_OF_TYPE = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['api_error', 500],
  ['timeout_error', 504],
  ['overloaded_error', 529],
]);

/** The API refused the request for what it holds: another request may be taken. */
export class RefusedRequest extends FairleadError {
  /** The API's own words, which may name the part. */
  readonly refusal: string;

  constructor(message: string, refusal: string, cause?: unknown) {
    super('ERR_MODEL', message, cause === undefined ? {} : { cause });
    this.refusal = refusal;
  }
}

/** The same request may be taken a moment later. */
export class PassingFailure extends FairleadError {
  constructor(message: string, options: ErrorOptions = {}) {
    super('ERR_MODEL', message, options);
  }
}

/** The API takes no more requests now. */
export class RateRefusal extends PassingFailure {}

/** Statuses of a refused request: of the API, of its limit in bytes, and of gateways. */
const REFUSED = new Set([400, 413, 422]);

/** Converts any error of the SDK, of fetch or of reading the stream. `model` is the requested one. */
export function toModelError(error: unknown, model: string): FairleadError {
  // The SDK wraps what our own `fetch` throws.
  const own = [error, error instanceof Error ? error.cause : undefined].find((each) => each instanceof FairleadError);
  if (own) return own;
  if (error instanceof APIConnectionTimeoutError) return modelError('the model’s API did not answer in time', error);
  if (error instanceof APIConnectionError) {
    const code = codeOf(error);
    const why = code === undefined ? '' : ` (${code})`;
    return new PassingFailure(`the model’s API cannot be reached${why}`, { cause: error });
  }
  if (error instanceof APIError && typeof error.status === 'number') {
    return statusError(error.status, error.apiMessage ?? '', model, error.headers, error);
  }
  return new PassingFailure(BROKE_OFF, { cause: error });
}

const BROKE_OFF = 'the model’s answer broke off in the middle';

export function brokeOff(): FairleadError {
  return new PassingFailure(BROKE_OFF);
}

/** Converts an `error` event of a stream. Gateways have kinds of their own, a status as its code, or a text in place of the error. */
export function toStreamError({ error }: Record<string, unknown>, model: string, headers: Headers): FairleadError {
  const { type, message, code } = isObject(error) ? error : { type: '', message: error, code: undefined };
  const known = [type, code].map((each) => STATUS_OF_TYPE.get(String(each)) ?? toStatus(each));
  const status = known.find((each) => each !== undefined) ?? 500;
  return statusError(status, typeof message === 'string' ? message : '', model, headers);
}

/** Some gateways tell the status that they had as the error's code. */
function toStatus(code: unknown): number | undefined {
  const status = Number(code);
  return Number.isInteger(status) && status >= 400 && status <= 599 ? status : undefined;
}

export function modelError(message: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_MODEL', message, cause === undefined ? {} : { cause });
}

/** Reads `retry-after-ms`, or `retry-after` in seconds or as a date; undefined when there is no valid one. */
export function readRetryAfter(headers: Headers): number | undefined {
  const inMs = headers.get('retry-after-ms');
  const inSeconds = headers.get('retry-after');
  let ms = Number.NaN;
  if (inMs !== null) ms = Number(inMs);
  else if (inSeconds !== null) {
    ms = Number.isNaN(Number(inSeconds)) ? Date.parse(inSeconds) - Date.now() : Number(inSeconds) * 1000;
  }
  return ms > 0 ? Math.round(ms) : undefined;
}

function statusError(
  status: number,
  apiMessage: string,
  model: string,
  headers: Headers | undefined,
  cause?: unknown,
): FairleadError {
  const message = statusText(status, apiMessage, model);
  if (REFUSED.has(status)) {
    const refusal = apiMessage === '' && cause instanceof Error ? cause.message : apiMessage;
    return new RefusedRequest(message, status === 413 ? `request too large: ${refusal}` : refusal, cause);
  }
  const retryAfterMs = headers && readRetryAfter(headers);
  const options = { cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  if (mayPass(status, headers?.get('x-should-retry'))) {
    return status === 429 ? new RateRefusal(message, options) : new PassingFailure(message, options);
  }
  return new FairleadError('ERR_MODEL', message, options);
}

/** As the SDK decides: the API's own word counts, then the status. */
function mayPass(status: number, word: string | null | undefined): boolean {
  if (word === 'true' || word === 'false') return word === 'true';
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

const STATUS_TEXTS: Record<number, string> = {
  401: 'the model’s API does not accept the server’s key',
  402: 'the account of the server’s key cannot pay for the model',
  403: 'the server’s key may not use this model',
  408: 'the model did not answer in time',
  413: 'the conversation is too large for the model’s API',
  429: 'the model’s API is over its rate limit; try again later',
  504: 'the model did not answer in time',
  529: 'the model is overloaded; try again later',
};

function statusText(status: number, apiMessage: string, model: string): string {
  if (status === 404) return `the model’s API does not know ${model}`;
  const text = STATUS_TEXTS[status];
  if (text !== undefined) return text;
  if (status >= 500) return `the model’s API failed (status ${status}); try again later`;
  return `the model’s API refused the request (status ${status})${quoted(apiMessage)}`;
}

function quoted(apiMessage: string): string {
  const text = apiMessage.replaceAll(/\s+/g, ' ').trim();
  if (text === '') return '';
  return `: ${text.length > MAX_API_MESSAGE ? `${cutText(text, MAX_API_MESSAGE)}…` : text}`;
}

/** Finds the system’s code (ECONNREFUSED, ENOTFOUND, CERT_HAS_EXPIRED) in an error that fetch has wrapped several times. */
function codeOf(error: unknown): string | undefined {
  for (let depth = 0, at: unknown = error; depth < 5 && at instanceof Error; depth++, at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string') return code;
  }
  return undefined;
}
