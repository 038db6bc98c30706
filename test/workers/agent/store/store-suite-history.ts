/** The store suite: histories, their blocks and sealing. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';
import { events, newSession, ODD_TEXTS, say, until, type Backend } from './store-backend.js';

export function historySuite(t: Test, backend: Backend): void {
  t.test('a cleared history is gone, with messages of the same commit after it', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    await store.commit(session, { events: events(1), messages: [say('old')], accept: { id: 'm', turn: 1 } });
    await store.commit(session, { events: events(2), clearHistory: true });
    t.strictSame(await store.readHistory(session), []);
    await store.commit(session, { events: [], messages: [say('older')] });
    await store.commit(session, { events: events(3), clearHistory: true, messages: [say('new')] });
    t.strictSame(await store.readHistory(session), [say('new')]);
    t.equal((await store.readEvents(session, 0, 10)).events.length, 3, 'the log stays');
    const again = await store.commit(session, { events: events(4), accept: { id: 'm', turn: 4 } });
    t.strictSame(again, { ok: false, duplicateOf: 1 }, 'the ids stay');
  });

  t.test('a read never sees a commit that is called after it, even if nobody awaits the read', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    for (let seq = 1; seq <= 20; seq++) {
      const before = store.readHistory(session);
      const commit = store.commit(session, { events: events(seq), messages: [say(`message ${seq}`)] });
      t.equal((await before).length, seq - 1);
      t.strictSame(await commit, { ok: true });
    }
  });

  t.test('a long history stays whole and in order while its tail is sealed, in few entries', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    const said: TranscriptMessage[] = [];
    for (let i = 0; i < 200; i++) {
      const turn = [
        say(`question ${i} ${'words '.repeat(100)}`),
        say(`answer ${i} ${'more words '.repeat(40)}`, 'assistant'),
      ];
      await store.commit(session, { events: events(i + 1), messages: turn });
      said.push(...turn);
    }
    t.strictSame(await store.readHistory(session), said);
    const bytes = JSON.stringify(said).length;
    const bound = Math.ceil((2 * bytes) / 32_768) + 32;
    await until(async () => (await backend.historyEntries(session)) <= bound);
    t.ok(bytes > 200_000, `${bytes} bytes`);
    t.strictSame(await store.readHistory(session), said);
  });

  t.test('a session that commits without a pause is sealed too', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    const said: TranscriptMessage[] = [];
    let busy = true;
    await Promise.all(
      // Messages that are committed out of turn are in the history too, once and whole, in the order of their commits.
      [0, 1].map(async (who) => {
        for (let i = 0; i < 200 || busy; i++) {
          const message = say(`${who} ${i} ${'words '.repeat(150)}`);
          await store.commit(session, { events: [], messages: [message] });
          said.push(message);
          if (i >= 199)
            busy = (await backend.historyEntries(session)) > (2 * JSON.stringify(said).length) / 32_768 + 100;
        }
      }),
    );
    const found = (await store.readHistory(session)).map((m) => JSON.stringify(m));
    t.equal(found.length, said.length);
    for (const who of ['0', '1']) {
      const own = (list: string[]): string[] => list.filter((json) => json.includes(`"text":"${who} `));
      t.strictSame(own(found), own(said.map((m) => JSON.stringify(m))));
    }
  });

  t.test('clearing and appending while a seal is under way never brings old messages back', async (t) => {
    const [store, other] = [await backend.open(t), await backend.open(t)];
    const { session } = await newSession(store);
    let seq = 0;
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 4; i++) {
        seq += 1;
        await store.commit(session, { events: events(seq), messages: [say(`${round}.${i} ${'x'.repeat(10_000)}`)] });
      }
      // A seal of the old tail may run from here on, while the list grows back to its old length.
      seq += 1;
      await other.commit(session, { events: events(seq), clearHistory: true });
      const fresh = Array.from({ length: 4 }, (_, i) => say(`${round} fresh ${i}`));
      await Promise.all(fresh.map((message) => other.commit(session, { events: [], messages: [message] })));
      const found = await store.readHistory(session);
      t.strictSame(found.map((m) => JSON.stringify(m)).toSorted(), fresh.map((m) => JSON.stringify(m)).toSorted());
    }
  });

  t.test('unicode and a message of a megabyte come back exactly', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    const odd = ODD_TEXTS.map((text) => say(text));
    const big = say(randomBytes(786_432).toString('base64'));
    const json = JSON.stringify({ seq: 1, text: ODD_TEXTS });
    await store.commit(session, { events: [{ seq: 1, json }], messages: odd });
    await store.commit(session, { events: events(2, 1, 'y'.repeat(1_000_000)), messages: [big] });
    await store.commit(session, { events: events(3), messages: [say('after')] });
    t.strictSame((await store.readEvents(session, 0, 1)).events, [{ seq: 1, json }]);
    t.ok(((await store.readEvents(session, 1, 1)).events[0]?.json.length ?? 0) > 1_000_000);
    const found = await store.readHistory(session);
    t.strictSame(found.slice(0, -2), odd);
    t.ok(JSON.stringify(found.at(-2)) === JSON.stringify(big));
    t.strictSame(found.at(-1), say('after'));
  });
}
