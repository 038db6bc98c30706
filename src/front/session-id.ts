/** Makes and checks session ids. The front makes them, since the id decides which thread owns the session. Main thread. */
import { randomBytes } from 'node:crypto';
import { FairleadError } from '../shared/errors.js';

/** 144 random bits as 24 url-safe characters. No leading `-`, which a command line would take for an option. */
export function newSessionId(): string {
  return randomBytes(18).toString('base64url').replace(/^-/, '_');
}

/** The id, or ERR_NO_SUCH_SESSION: text that cannot be an id is answered like an id that does not exist. */
export function toSessionId(text: string): string {
  if (/^[\w-]{1,128}$/.test(text)) return text;
  throw unknownSession();
}

export function unknownSession(): FairleadError {
  return new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
}

/** Parses a seq, which clients write in decimal digits. Undefined for anything else. */
export function parseSeq(text: string): number | undefined {
  const seq = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(seq) ? seq : undefined;
}
