/**
 * What lies beside the sessions in Redis was copied at another moment than they: after a restore the indexes and the sums of users are
 * made to fit them. Command line's process.
 */
import type { RedisDoor } from './redis-link.js';

const ROW = /^fairlead:\{([\w-]{1,128})\}:row$/;
/** Names of a row's fields; each server's saved workspace has one. */
const SAVED = 'saved:*';
/** More than a session has servers. */
const SCANNED = '1000';
const AT_ONCE = 500;

interface Sums {
  history: number;
  saved: number;
}

export class RedisMender {
  readonly #redis: RedisDoor;
  /** By user, as the store writes the name. */
  readonly #sums = new Map<string, Sums>();
  /** A backup may have a session twice. */
  readonly #seen = new Set<string>();

  constructor(redis: RedisDoor) {
    this.#redis = redis;
  }

  /** A key that has been restored. */
  async add(key: string): Promise<void> {
    const [row, session] = ROW.exec(key) ?? [];
    if (row === undefined || session === undefined) return;
    const fields = ['HMGET', row, 'user', 'lastActiveAt', 'owner', 'due', 'counted'];
    const [user, at, owner, due, counted] = await this.#redis.send<(string | null)[]>(fields);
    if (user === null || user === undefined) return;
    await this.#index(session, { user, at: at ?? '0', owner, due });
    if (this.#seen.has(session)) return;
    this.#seen.add(session);
    const [, saved] = await this.#redis.send<[string, string[]]>(['HSCAN', row, '0', 'MATCH', SAVED, 'COUNT', SCANNED]);
    const sums = this.#sums.get(user) ?? { history: 0, saved: 0 };
    sums.history += Number(counted ?? 0);
    for (let i = 1; i < saved.length; i += 2) sums.saved += Number(saved[i]);
    this.#sums.set(user, sums);
  }

  /** All are restored. A sum that nobody keeps is not begun. */
  async finish(): Promise<void> {
    const all = [...this.#sums];
    for (let at = 0; at < all.length; at += AT_ONCE) {
      await Promise.all(all.slice(at, at + AT_ONCE).map(([user, sums]) => this.#correct(user, sums)));
    }
  }

  /** As the store keeps them: all sessions and each user's by their last activity, and those that a server must wake. */
  async #index(
    session: string,
    {
      user,
      at,
      owner,
      due,
    }: { user: string; at: string; owner: string | null | undefined; due: string | null | undefined },
  ): Promise<void> {
    const add = (key: string, score: string): Promise<unknown> => this.#redis.send(['ZADD', key, 'NX', score, session]);
    await Promise.all([
      add('fairlead:sessions', at),
      add(`fairlead:user:${user}`, at),
      due && owner ? add(`fairlead:due:${owner}`, due) : undefined,
    ]);
  }

  async #correct(user: string, sums: Sums): Promise<void> {
    const key = `fairlead:quota:${user}`;
    const kept = await this.#redis.send<(string | null)[]>(['HMGET', key, 'history', 'saved']);
    const right = (['history', 'saved'] as const).flatMap((name, index) => {
      const isKept = kept[index] !== null && kept[index] !== undefined;
      return isKept ? [name, String(sums[name])] : [];
    });
    if (right.length > 0) await this.#redis.send(['HSET', key, ...right]);
  }
}
