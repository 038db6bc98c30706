/** What the server says went wrong over HTTP, as an error. Pure. */
import { ClientError } from './client-error.js';

/** RFC 9457. */
interface Problem {
  code: string;
  detail: string;
}

/** What it needs of a `Response`. */
interface Refusal {
  status: number;
  headers: { get: (name: string) => string | null };
}

/** `answer`: its body as JSON; `{}` for the page of a proxy. */
export function problemOf({ status, headers }: Refusal, answer: unknown): ClientError {
  const { code = 'ERR_INTERNAL', detail = `the server answers ${status}` } = answer as Partial<Problem>;
  const retryAfterMs = 1_000 * Number(headers.get('retry-after')) || undefined;
  return new ClientError(code, detail, { status, retryAfterMs });
}
