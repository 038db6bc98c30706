/** Session ids: made by the front, since the thread that owns a session is found by its id. Main thread. */
import { randomBytes } from 'node:crypto';

/** 144 random bits, 24 url-safe characters; never a leading `-`, which a command line would take for an option. */
export function newSessionId(): string {
  return randomBytes(18).toString('base64url').replace(/^-/, '_');
}

/** What cannot be an id is answered like one that does not exist. */
export function isSessionId(text: string): boolean {
  return /^[\w-]{1,128}$/.test(text);
}

/** A seq as a client writes it: decimal digits. Undefined when it is none. */
export function parseSeq(text: string): number | undefined {
  const seq = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(seq) ? seq : undefined;
}
