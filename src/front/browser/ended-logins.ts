/** Which logins of browsers have ended before their time, at this server or another of the same store. Main thread. */
import { createHash } from 'node:crypto';
import type { IssuerLogOut, Login } from './login.js';

/** What the keys of such entries begin with, in the table that all servers of a store share. */
export const ENDED_KIND = 'logout:';

/**
 * A user's logins are spread over so many entries, so that who logs in and out for ever fills no table. Two logins of one entry
 * end together when the later one does: the other browser has to log in again.
 */
const SLOTS = 64;

/** An entry of the table. It is kept until no cookie can be older. */
export interface EndedEntry {
  key: string;
  /** What began until then has ended: ms of ours or seconds of the issuer; '' whenever it began. */
  value: string;
  /** ms since the epoch. */
  endsAt: number;
}

/** Ends one login, wherever its cookie comes back. */
function endOfLogin({ id, user, beganAt, endsAt }: Login): EndedEntry {
  return { key: slotKey(id, user), value: String(beganAt), endsAt };
}

/**
 * Ends what the issuer's log-out names: with `sid` that session, else all of the user's. A log-out that is sent twice ends no
 * later login. `longestMs`: how long a login lasts at most.
 */
function endByIssuer({ issuer, sub, sid, issuedAt }: IssuerLogOut, now: number, longestMs: number): EndedEntry {
  const endsAt = now + longestMs;
  if (sid !== undefined) return { key: keyOf('sid', issuer, sid), value: '', endsAt };
  return { key: keyOf('sub', issuer, sub ?? ''), value: String(issuedAt), endsAt };
}

function slotKey(id: string, user: string): string {
  const slot = createHash('sha256').update(id).digest().readUInt32BE() % SLOTS;
  return keyOf('login', user, String(slot));
}

/** Hashed, since an issuer's names may be of any characters and length. */
function keyOf(kind: 'login' | 'sid' | 'sub', ...parts: string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
  return `${ENDED_KIND}${kind}:${hash}`;
}

interface Ended {
  value: string;
  endsAt: number;
}

export interface EndedLoginsOptions {
  /** No login lasts longer. */
  sessionMs: number;
  now?: () => number;
}

/** Entries whose time is over are looked for whenever so many have come. */
const SWEEP_EVERY = 1_000;

/** A view of the table: it holds no more than the table does, whose size is bounded. */
export class EndedLogins {
  readonly kind = ENDED_KIND;
  /** Called when logins have ended at another server or through the issuer: their sockets are to be closed. */
  onEnded: () => void = () => undefined;
  readonly #ended = new Map<string, Ended>();
  readonly #sessionMs: number;
  readonly #now: () => number;
  #added = 0;
  #changed = false;

  constructor({ sessionMs, now = Date.now }: EndedLoginsOptions) {
    this.#sessionMs = sessionMs;
    this.#now = now;
  }

  get size(): number {
    return this.#ended.size;
  }

  /** Ends it here. The entry that is returned ends it at the other servers, and after a restart. */
  end(login: Login): EndedEntry {
    return this.#note(endOfLogin(login));
  }

  /** As `end`. */
  endByIssuer(logOut: IssuerLogOut): EndedEntry {
    return this.#note(endByIssuer(logOut, this.#now(), this.#sessionMs));
  }

  /** `name`: the key without its kind. */
  put(name: string, value: string, { endsAt = this.#now() + this.#sessionMs }: { endsAt?: number }): void {
    this.#note({ key: ENDED_KIND + name, value, endsAt });
    this.#changed = true;
  }

  /** A store that has lost its entries must not let anybody in again: an end stays known for its time. */
  drop(name: string): void {
    const key = ENDED_KIND + name;
    if ((this.#ended.get(key)?.endsAt ?? 0) <= this.#now()) this.#ended.delete(key);
  }

  applied(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.onEnded();
  }

  has(login: Login): boolean {
    const { by, id, user, beganAt } = login;
    if (this.#reaches(slotKey(id, user), beganAt)) return true;
    if (by.kind !== 'issuer') return false;
    const { issuer, sub, sid, issuedAt } = by;
    if (sid !== undefined && this.#reaches(keyOf('sid', issuer, sid), 0)) return true;
    return this.#reaches(keyOf('sub', issuer, sub), issuedAt);
  }

  #reaches(key: string, begun: number): boolean {
    const ended = this.#ended.get(key);
    return ended !== undefined && (ended.value === '' || begun <= Number(ended.value));
  }

  /** Where an end that is known reaches further it stays: they may come twice, and in any order. */
  #note({ key, value, endsAt }: EndedEntry): EndedEntry {
    const known = this.#ended.get(key);
    const further = known !== undefined && Number(known.value) > Number(value) ? known.value : value;
    const ended = { value: further, endsAt: Math.max(endsAt, known?.endsAt ?? 0) };
    this.#ended.set(key, ended);
    if (++this.#added % SWEEP_EVERY === 0) this.#sweep();
    return { key, ...ended };
  }

  #sweep(): void {
    const now = this.#now();
    for (const [key, { endsAt }] of this.#ended) {
      if (endsAt <= now) this.#ended.delete(key);
    }
  }
}
