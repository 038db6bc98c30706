/** The copy of the table of credentials, on a real store; the way to it is the test's. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { CredentialMirror, type View } from '../../../src/credentials/mirror.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Agents } from '../../../src/threads/agents.js';
import { openLmdbStore } from '../../../workers/agent/store/lmdb-store.js';
import type { Store } from '../../../workers/agent/store/store.js';
import { credentialRequests } from '../../../workers/agent/thread/credential-requests.js';
import { LIMITS } from '../../workers/agent/store/store-backend.js';

class Names implements View {
  readonly kind = 'token:';
  readonly values = new Map<string, string>();
  puts = 0;

  put(name: string, value: string): void {
    this.puts++;
    this.values.set(name, value);
  }

  drop(name: string): void {
    this.values.delete(name);
  }
}

interface World {
  mirror: CredentialMirror;
  names: Names;
  store: Store;
  states: (string | undefined)[];
  /** Answers in place of the store while it is set. */
  fault: { error?: Error };
  asked: () => number;
}

function newStore(t: Test): Promise<Store> {
  const dir = mkdtempSync(join(tmpdir(), 'fl-mirror-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return openLmdbStore(dir, { owner: 'server-1', limits: LIMITS });
}

async function world(t: Test, { pollMs = 5 }: { pollMs?: number } = {}): Promise<World> {
  let store = await newStore(t);
  const fault: World['fault'] = {};
  let asked = 0;
  const agents = {
    request: async (_session: string, name: keyof ReturnType<typeof credentialRequests>, body: never) => {
      asked++;
      if (fault.error) throw fault.error;
      return credentialRequests(store.credentials)[name](body);
    },
  } as unknown as Agents;
  const names = new Names();
  const states: World['states'] = [];
  const log = pino({ level: 'silent' });
  const mirror = new CredentialMirror({ agents, views: [names], log, onState: (state) => states.push(state), pollMs });
  t.teardown(async () => {
    mirror.close();
    await store.close();
  });
  return {
    mirror,
    names,
    get store() {
      return store;
    },
    set store(other) {
      store = other;
    },
    states,
    fault,
    asked: () => asked,
  };
}

const away = (): FairleadError => new FairleadError('ERR_UNAVAILABLE', 'Redis did not answer');

/** Asks until it is so; the test's deadline ends it. */
async function until(mirror: CredentialMirror, ready: () => boolean): Promise<void> {
  while (!ready()) await mirror.refresh().catch(() => new Promise((resolve) => setImmediate(resolve)));
}

t.test('the whole table is there when it has started, in many pages, and then what changes', async (t) => {
  const { mirror, names, store } = await world(t);
  for (let index = 0; index < 450; index++) await store.credentials.write(`token:${index}`, { value: `v${index}` });
  await store.credentials.write('cookie:1', { value: 'another kind' });
  await mirror.start(new AbortController().signal);
  t.ok(mirror.loaded);
  t.equal(names.values.size, 450);
  await store.credentials.remove('token:7');
  await store.credentials.write('token:8', { value: 'changed' });
  await until(mirror, () => names.values.get('8') === 'changed');
  t.notOk(names.values.has('7'));
  t.equal(names.puts, 451, 'nothing is read twice');
});

t.test('what is written through it is known when the write resolves', async (t) => {
  const { mirror, names } = await world(t, { pollMs: 1_000_000 });
  await mirror.start(new AbortController().signal);
  t.equal(await mirror.write({ key: 'token:a', value: 'one', ifAbsent: true }), true);
  t.equal(names.values.get('a'), 'one');
  t.equal(await mirror.write({ key: 'token:a', value: 'two', ifAbsent: true }), false);
  t.equal(names.values.get('a'), 'one');
  t.equal(await mirror.remove('token:a'), true);
  t.notOk(names.values.has('a'));
  t.equal(await mirror.remove('token:a'), false);
});

t.test('many refreshes at once are one reading, which begins after each of them was asked', async (t) => {
  const { mirror, names, store, asked } = await world(t, { pollMs: 1_000_000 });
  await mirror.start(new AbortController().signal);
  const before = asked();
  const first = mirror.refresh();
  await Promise.resolve();
  const writing = store.credentials.write('token:late', { value: 'late' });
  await writing;
  await Promise.all([first, ...Array.from({ length: 50 }, () => mirror.refresh())]);
  t.equal(names.values.get('late'), 'late');
  t.ok(asked() - before <= 3, `${asked() - before} requests`);
});

t.test('a start waits for a store that is away, and lets itself be ended', async (t) => {
  const { mirror, fault, names, store } = await world(t);
  await store.credentials.write('token:a', { value: 'one' });
  fault.error = away();
  const abort = new AbortController();
  const reason = new Error('the start was ended');
  const started = mirror.start(abort.signal);
  await mirror.refresh().catch(() => undefined);
  t.notOk(mirror.loaded);
  abort.abort(reason);
  await t.rejects(started, reason);
  delete fault.error;
  await mirror.start(new AbortController().signal);
  t.equal(names.values.get('a'), 'one');
});

t.test('while the store is away what was known stays, and is told to be old until it is read again', async (t) => {
  const { mirror, fault, names, store, states } = await world(t);
  await store.credentials.write('token:a', { value: 'one' });
  await mirror.start(new AbortController().signal);
  fault.error = away();
  await until(mirror, () => states.length > 0);
  t.match(states.at(-1), /^tokens and blocks are those of \d+ s ago/);
  t.equal(names.values.get('a'), 'one');
  await store.credentials.remove('token:a');
  delete fault.error;
  await until(mirror, () => states.at(-1) === undefined);
  t.notOk(names.values.has('a'));
});

t.test('a store that has lost its newest writes is read whole: what it does not hold is dropped', async (t) => {
  const made = await world(t);
  const { mirror, names, store } = made;
  for (const name of ['a', 'b', 'c']) await store.credentials.write(`token:${name}`, { value: name });
  await mirror.start(new AbortController().signal);
  const other = await newStore(t);
  made.store = other;
  await store.close();
  await until(mirror, () => names.values.size === 0);
  await other.credentials.write('token:d', { value: 'd' });
  await until(mirror, () => names.values.has('d'));
  t.strictSame([...names.values.keys()], ['d']);
});

t.test('a store that does not answer in time is said to be away, not in words of the inside', async (t) => {
  const { mirror, fault } = await world(t);
  fault.error = new FairleadError('ERR_CHANNEL_TIMEOUT', 'no answer to remove-credential within 3000 ms');
  await t.rejects(mirror.remove('token:a'), { code: 'ERR_UNAVAILABLE', message: /the store does not answer/ });
});
