/** The store suite: what the event log keeps. */
import type { Test } from 'tap';
import type { LoggedEvent } from '../../../../workers/agent/store/store.js';
import { events, newSession, until, type Backend } from './store-backend.js';

export function logSuite(t: Test, backend: Backend): void {
  t.test('the log keeps the newest events and says which is its oldest', async (t) => {
    const store = await backend.open(t);
    const { session } = await newSession(store);
    await store.commit(session, { events: events(1, 20) });
    t.strictSame(await store.readEvents(session, 0, 5), { events: events(1, 5), oldest: 1 });
    t.strictSame(await store.readEvents(session, 17, 100), { events: events(18, 3), oldest: 1 });
    t.strictSame(await store.readEvents(session, 20, 100), { events: [], oldest: 1 });
    await store.commit(session, { events: events(21, 70) });
    t.strictSame(await store.readEvents(session, 0, 100), { events: events(41, 50), oldest: 41 });
    await store.commit(session, { events: events(91, 60) });
    t.strictSame(await store.readEvents(session, 95, 100), { events: events(101, 50), oldest: 101 });
  });

  t.test('events past their age are dropped by the next commit, younger ones stay', async (t) => {
    const store = await backend.open(t, { limits: { maxAgeMs: 40 } });
    const { session } = await newSession(store);
    await store.commit(session, { events: events(1, 20) });
    t.equal((await store.readEvents(session, 0, 1)).oldest, 1);
    await until(async () => {
      await store.commit(session, { events: [], row: { turns: 1 } });
      return (await store.readEvents(session, 0, 1)).oldest === 0;
    });
    t.strictSame(await store.readEvents(session, 0, 100), { events: [], oldest: 0 });
    await store.commit(session, { events: events(21, 2) });
    t.strictSame(await store.readEvents(session, 0, 100), { events: events(21, 2), oldest: 21 });
    await until(async () => {
      const { seq = 0 } = (await store.readSession(session)) ?? {};
      await store.commit(session, { events: events(seq + 1) });
      const { oldest } = await store.readEvents(session, 0, 1);
      return oldest > 22 && oldest <= seq + 1;
    });
  });

  t.test('the log is bounded by its bytes, the oldest go first and the newest stays however large', async (t) => {
    const store = await backend.open(t, { limits: { maxBytes: 1_000 } });
    const { session } = await newSession(store);
    const holds = async (first: number, count: number): Promise<void> => {
      const found = await store.readEvents(session, 0, 100);
      t.equal(found.oldest, first);
      t.strictSame(
        found.events.map(({ seq }) => seq),
        Array.from({ length: count }, (_, i) => first + i),
      );
      t.equal(await backend.logBytes(session), bytesOf(found.events), 'its bytes are known');
    };
    await store.commit(session, { events: sized(1, 10, 100) });
    await holds(1, 10);
    await store.commit(session, { events: sized(11, 1, 100) });
    await holds(2, 10);
    await store.commit(session, { events: sized(12, 1, 101) });
    await holds(4, 9);
    await store.commit(session, { events: [], row: { title: 'nothing to add' } });
    await holds(4, 9);
    await store.commit(session, { events: sized(13, 1, 5_000) });
    await holds(13, 1);
    await store.commit(session, { events: [] });
    await holds(13, 1);
    await store.commit(session, { events: sized(14, 1, 40) });
    await holds(14, 1);
    await store.commit(session, { events: sized(15, 30, 100) });
    await holds(35, 10);
  });

  t.test('its bytes are counted as UTF-8, and are exact whatever bound has dropped events', async (t) => {
    const [store, hasty] = [
      await backend.open(t, { limits: { maxEvents: 7, maxBytes: 2_000 } }),
      await backend.open(t, { limits: { maxAgeMs: 1 } }),
    ];
    const { session } = await newSession(store);
    let seq = 0;
    for (let i = 0; i < 60; i++) {
      const added = events(seq + 1, i % 4, '🚀ü'.repeat((i * 7) % 50));
      seq += added.length;
      await store.commit(session, { events: added });
      const found = await store.readEvents(session, 0, 100);
      t.equal(await backend.logBytes(session), bytesOf(found.events));
      t.ok(found.events.length <= 7 && (bytesOf(found.events) <= 2_000 || found.events.length === 1));
      t.equal(found.oldest, found.events.length === 0 ? 0 : seq - found.events.length + 1);
    }
    await until(async () => {
      await hasty.commit(session, { events: [] });
      return (await hasty.readEvents(session, 0, 1)).oldest === 0;
    });
    t.equal(await backend.logBytes(session), 0);
  });
}

/** Events of this size each. */
function sized(first: number, count: number, bytes: number): LoggedEvent[] {
  return events(first, count).map(({ seq }) => {
    const json = JSON.stringify({ seq, text: '' });
    return { seq, json: json.replace('""', `"${'x'.repeat(bytes - json.length)}"`) };
  });
}

function bytesOf(found: readonly LoggedEvent[]): number {
  return found.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0);
}
