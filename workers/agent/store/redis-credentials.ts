/** The table of credentials in Redis: a hash for each entry, its order of changes, and what ends when. Agent threads. */
import { randomUUID } from 'node:crypto';
import type { CredentialChanges, CredentialEntry, CredentialUse, WriteOutcome } from '../contract/credentials.js';
import {
  MAX_CREDENTIALS,
  MAX_FORGOTTEN,
  TOMBSTONE_MS,
  type CredentialTable,
  type CredentialWrite,
} from './credential-table.js';
import { WRITE_CREDENTIAL, NOTE_USES } from './redis-credential-scripts.js';
import type { RedisCall, RedisLink } from './redis-link.js';
import { escapeText, unescapeText } from './row-codec.js';

/** One hash slot for the whole table, which is small. */
const PREFIX = 'fairlead:{credentials}:';
const KEYS = { head: `${PREFIX}head`, changes: `${PREFIX}changes`, ends: `${PREFIX}ends` };
const ENTRY = `${PREFIX}entry:`;
const FIELDS = ['value', 'change', 'endsAt', 'usedAt', 'usedFrom'];

export class RedisCredentials implements CredentialTable {
  readonly #link: Pick<RedisLink, 'call'>;

  constructor(link: Pick<RedisLink, 'call'>) {
    this.#link = link;
  }

  changes(after: number, limit: number): Promise<CredentialChanges> {
    return this.#link.call('credentialChanges', async (call) => {
      const newest = Number((await call.send<string | null>(['HGET', KEYS.head, 'change'])) ?? 0);
      if (newest < after) return { entries: [], next: 0, more: true, lost: true };
      if (newest === after) return { entries: [], next: after, more: false };
      const range = [KEYS.changes, `(${after}`, String(newest), 'BYSCORE', 'LIMIT', '0', String(limit), 'WITHSCORES'];
      const found = await call.send<[member: string, change: number][]>(['ZRANGE', ...range]);
      const entries = await Promise.all(found.map(([member, change]) => readEntry(call, member, change)));
      // Entries that change meanwhile move to the end, so they are read with the next page.
      const more = found.length === limit;
      return { entries, next: more ? found.at(-1)![1] : newest, more };
    });
  }

  async write(key: string, { value, endsAt, ifAbsent = false }: CredentialWrite): Promise<WriteOutcome> {
    const args = [value, endsAt === undefined ? '' : String(endsAt), ifAbsent ? 'absent' : 'any'];
    const outcome = await this.#put('writeCredential', key, args);
    return outcome === 'ok' ? 'written' : outcome === 'full' ? 'full' : 'exists';
  }

  async remove(key: string): Promise<boolean> {
    return (await this.#put('removeCredential', key, ['', '', 'there'])) === 'ok';
  }

  async noteUses(uses: readonly CredentialUse[]): Promise<void> {
    if (uses.length === 0) return;
    await this.#link.call('noteCredentialUses', (call) =>
      call.write<[string, number]>(
        NOTE_USES,
        uses.map(({ key }) => ENTRY + escapeText(key)),
        uses.flatMap(({ at, from }) => [String(at), escapeText(from)]),
      ),
    );
  }

  async #put(operation: string, key: string, args: string[]): Promise<string> {
    const nonce = randomUUID();
    const member = escapeText(key);
    const [outcome] = await this.#link.call(operation, (call) =>
      call.write<[string, number]>(
        WRITE_CREDENTIAL,
        [KEYS.head, KEYS.changes, KEYS.ends, ENTRY + member],
        [nonce, member, ...args, ENTRY, ...[MAX_CREDENTIALS, TOMBSTONE_MS, MAX_FORGOTTEN].map(String)],
      ),
    );
    return outcome;
  }
}

async function readEntry(call: RedisCall, member: string, listed: number): Promise<CredentialEntry> {
  const [value, change, endsAt, usedAt, usedFrom] = await call.send<(string | null)[]>([
    'HMGET',
    ENTRY + member,
    ...FIELDS,
  ]);
  return {
    key: unescapeText(member),
    change: Number(change ?? listed),
    ...(value && { value, ...(endsAt && { endsAt: Number(endsAt) }) }),
    ...(usedAt && { usedAt: Number(usedAt) }),
    ...(usedFrom && { usedFrom: unescapeText(usedFrom) }),
  };
}
