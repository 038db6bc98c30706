/** The store suite: the table of credentials. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import type { CredentialEntry } from '../../../../workers/agent/contract/credentials.js';
import type { CredentialTable } from '../../../../workers/agent/store/credential-table.js';
import { ODD_TEXTS, type Backend } from './store-backend.js';

function newKey(kind = 'token'): string {
  return `${kind}:${randomBytes(9).toString('hex')}`;
}

/** A reader as the main thread is one: all entries, kept up to date by their changes. */
class Reader {
  readonly entries = new Map<string, CredentialEntry>();
  readonly #table: CredentialTable;
  #next = 0;

  constructor(table: CredentialTable) {
    this.#table = table;
  }

  /** Reads what is new; resolves with the keys, in the order in which they changed. */
  async follow(limit = 100): Promise<string[]> {
    const keys: string[] = [];
    for (let more = true; more;) {
      const page = await this.#table.changes(this.#next, limit);
      if (page.lost) throw new Error('the table has lost changes');
      if (page.entries.length > limit) throw new Error('the page is too long');
      for (const entry of page.entries) {
        keys.push(entry.key);
        if (entry.value === undefined) this.entries.delete(entry.key);
        else this.entries.set(entry.key, entry);
      }
      this.#next = page.next;
      more = page.more;
    }
    return keys;
  }
}

export function credentialSuite(t: Test, backend: Backend): void {
  t.test('a credential is read by another instance, once for each change, and its removal too', async (t) => {
    const [{ credentials: table }, { credentials: other }] = [await backend.open(t), await backend.open(t)];
    const reader = new Reader(other);
    await reader.follow();
    const keys = [newKey(), newKey(), newKey('block')] as const;
    for (const key of keys) t.equal(await table.write(key, { value: `value of ${key}` }), 'written');
    t.strictSame(await reader.follow(), keys, 'in the order of the writes');
    t.strictSame(await reader.follow(), [], 'and then nothing is new');
    t.match(reader.entries.get(keys[0]), { key: keys[0], value: `value of ${keys[0]}` });
    t.equal(await other.write(keys[0], { value: 'second' }), 'written');
    t.equal(await other.remove(keys[1]), true);
    t.equal(await table.remove(keys[1]), false, 'it is gone');
    t.equal(await table.remove(newKey()), false, 'it never was');
    t.strictSame(await reader.follow(), [keys[0], keys[1]]);
    t.equal(reader.entries.get(keys[0])?.value, 'second');
    t.notOk(reader.entries.has(keys[1]));
    t.equal(await table.write(keys[1], { value: 'again', ifAbsent: true }), 'written', 'a removed one may come back');
    t.strictSame(await reader.follow(), [keys[1]]);
  });

  t.test('a table is read in pages, and what changes meanwhile comes with a later one', async (t) => {
    const { credentials: table } = await backend.open(t);
    const reader = new Reader(table);
    await reader.follow();
    const keys = Array.from({ length: 25 }, () => newKey());
    for (const key of keys) await table.write(key, { value: key });
    t.strictSame(await reader.follow(4), keys);
    const from = (await table.changes(0, 1_000)).entries.find(({ key }) => key === keys[0])!.change - 1;
    const first = await table.changes(from, 10);
    t.ok(first.more);
    await table.write(keys[12]!, { value: 'changed' });
    await table.remove(keys[13]!);
    const rest = await table.changes(first.next, 100);
    const expected = [...keys.slice(10).filter((key) => key !== keys[12] && key !== keys[13]), keys[12], keys[13]];
    t.strictSame(
      rest.entries.map(({ key }) => key),
      expected,
    );
    t.notOk(rest.more);
  });

  t.test('odd names and values come back as they were', async (t) => {
    const { credentials: table } = await backend.open(t);
    const reader = new Reader(table);
    await reader.follow();
    const keys = ODD_TEXTS.map((text, index) => `odd:${index}:${randomBytes(4).toString('hex')}:${text}`);
    for (const key of keys) await table.write(key, { value: JSON.stringify(key) });
    t.strictSame(await reader.follow(), keys);
    t.strictSame(
      keys.map((key) => reader.entries.get(key)?.value),
      keys.map((key) => JSON.stringify(key)),
    );
  });

  t.test('of two writes that want to be the first one is', async (t) => {
    const tables = [(await backend.open(t)).credentials, (await backend.open(t)).credentials];
    const key = newKey();
    const outcomes = await Promise.all(
      tables.map((table, who) => table.write(key, { value: `by ${who}`, ifAbsent: true })),
    );
    t.strictSame(outcomes.toSorted(), ['exists', 'written']);
    t.equal(await tables[0]!.write(key, { value: 'anyway' }), 'written');
  });

  t.test('an entry that is over makes room for another, and is forgotten', async (t) => {
    const { credentials: table } = await backend.open(t);
    const [short, other] = [newKey(), newKey()];
    await table.write(short, { value: 'short', endsAt: Date.now() - 1 });
    t.equal(await table.remove(short), false, 'it is over');
    await table.write(other, { value: 'a write forgets what is over' });
    await table.write(other, { value: 'a write forgets what is over' });
    const read = await table.changes(0, 1_000);
    t.notOk(read.entries.some(({ key }) => key === short));
    t.equal(await table.write(short, { value: 'new', ifAbsent: true, endsAt: Date.now() + 60_000 }), 'written');
    t.equal(await table.write(short, { value: 'newer', ifAbsent: true }), 'exists');
  });

  t.test('the newest use of an entry is kept, is no change, and brings no removed entry back', async (t) => {
    const [{ credentials: table }, { credentials: other }] = [await backend.open(t), await backend.open(t)];
    const [used, removed] = [newKey(), newKey()];
    for (const key of [used, removed]) await table.write(key, { value: key });
    const reader = new Reader(other);
    await reader.follow();
    await table.remove(removed);
    await other.noteUses([
      { key: used, at: 2_000, from: '192.0.2.7' },
      { key: removed, at: 2_000, from: '192.0.2.7' },
      { key: newKey(), at: 2_000, from: '192.0.2.7' },
    ]);
    await table.noteUses([{ key: used, at: 1_000, from: '192.0.2.8' }]);
    await table.noteUses([]);
    t.strictSame(await reader.follow(), [removed]);
    const read = await other.changes(0, 1_000);
    t.match(
      read.entries.filter(({ key }) => key === used || key === removed),
      [{ key: used, usedAt: 2_000, usedFrom: '192.0.2.7' }, { key: removed }],
    );
    await table.write(removed, { value: 'again' });
    const again = (await other.changes(0, 1_000)).entries.find(({ key }) => key === removed);
    t.equal(again?.usedAt, undefined, 'a new entry was not used yet');
  });

  t.test('a reader of changes that the store no longer has is told so', async (t) => {
    const { credentials: table } = await backend.open(t);
    await table.write(newKey(), { value: 'one' });
    t.match(await table.changes(Date.now() + 1_000_000, 10), { lost: true, entries: [], next: 0 });
  });
}
