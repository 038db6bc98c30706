/** Rows and transcripts of the sessions that were in memory lately, bounded in bytes: their next turn reads nothing. Agent threads. */
import { LRUCache } from 'lru-cache';
import type { KnownSession } from '../log/session-log.js';
import type { SessionRow } from '../store/store.js';

/** A row and its entry here, without what the history's size says. */
const ROW_BYTES = 3_000;
/** Parsed JSON takes more than its bytes: objects, and two bytes for each character of most scripts. */
const BYTES_PER_BYTE = 2;
/** One long history must not push out those of everybody else. */
const MAX_SHARE = 1 / 4;

export class RecentSessions {
  readonly #entries: LRUCache<string, KnownSession> | undefined;

  /** 0: keeps nothing. */
  constructor(maxBytes: number) {
    if (maxBytes === 0) return;
    this.#entries = new LRUCache({ maxSize: maxBytes, maxEntrySize: maxBytes * MAX_SHARE, sizeCalculation: sizeOf });
  }

  get bytes(): number {
    return this.#entries?.calculatedSize ?? 0;
  }

  /** Keeps a session that leaves memory. Only one that waits for nothing: a row with an open turn says what must be done. */
  keep(known: KnownSession | undefined): void {
    if (!known?.transcript || known.row.openTurns.length > 0) return;
    this.#entries?.set(known.row.session, known);
  }

  /** The session as it was when it left memory. It is given to one log alone, which changes it. */
  take({ session, user }: Pick<SessionRow, 'session' | 'user'>): KnownSession | undefined {
    const known = this.#entries?.peek(session);
    if (known?.row.user !== user) return undefined;
    this.#entries?.delete(session);
    return known;
  }

  /** A row that was read, with what is known of it here if nobody has written it since. */
  refresh(row: SessionRow): KnownSession {
    const known = this.take(row);
    if (known?.row.seq !== row.seq || known.row.createdAt !== row.createdAt) return { row };
    return { ...known, row };
  }
}

function sizeOf({ row }: KnownSession): number {
  return ROW_BYTES + (row.history?.bytes ?? 0) * BYTES_PER_BYTE;
}
