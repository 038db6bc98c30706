/** What administrators ask of other servers, over one real store that two servers read. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { Acts, type Act } from '../../../src/admin/acts.js';
import { CredentialMirror } from '../../../src/credentials/mirror.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Agents } from '../../../src/threads/agents.js';
import { openLmdbStore } from '../../../workers/agent/store/lmdb-store.js';
import { credentialRequests } from '../../../workers/agent/thread/credential-requests.js';
import { LIMITS } from '../../workers/agent/store/store-backend.js';

interface Server {
  acts: Acts;
  mirror: CredentialMirror;
  done: Act[];
  /** The sessions that it has. */
  has: Set<string>;
  fault: { error?: Error };
}

const log = pino({ level: 'silent' });

async function servers(t: Test, takeMs = 10_000): Promise<[Server, Server]> {
  const dir = mkdtempSync(join(tmpdir(), 'fl-acts-'));
  const store = await openLmdbStore(dir, { owner: 'server-1', limits: LIMITS });
  t.teardown(async () => {
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const start = async (): Promise<Server> => {
    const fault: Server['fault'] = {};
    const agents = {
      request: async (_session: string, name: keyof ReturnType<typeof credentialRequests>, body: never) => {
        if (fault.error) throw fault.error;
        return credentialRequests(store.credentials)[name](body);
      },
    } as unknown as Agents;
    const done: Act[] = [];
    const has = new Set<string>();
    const perform = async (act: Act): Promise<number> => done.push(act);
    const isHere = async (session: string): Promise<boolean> => has.has(session);
    const acts: Acts = new Acts({ mirror: () => mirror, isHere, perform, log, takeMs });
    const mirror = new CredentialMirror({ agents, views: [acts], log, onState: () => undefined, pollMs: 5 });
    t.teardown(() => mirror.close());
    await mirror.start(new AbortController().signal);
    return { acts, mirror, done, has, fault };
  };
  return [await start(), await start()];
}

t.test('what is for all is done by each server once, by the one that was asked before it answers', async (t) => {
  const [a, b] = await servers(t);
  t.equal(await a.acts.tellAll({ do: 'kick', user: 'ada' }), 1);
  t.same(a.done, [{ do: 'kick', user: 'ada' }]);
  await b.mirror.refresh();
  await b.mirror.refresh();
  t.same(b.done, [{ do: 'kick', user: 'ada' }]);
});

t.test('what is for a session is done by the server that has it, and the other one waits for that', async (t) => {
  const [a, b] = await servers(t);
  b.has.add('s1');
  t.equal(await a.acts.askOwner({ do: 'end', session: 's1' }), true);
  t.same(b.done, [{ do: 'end', session: 's1' }]);
  t.same(a.done, []);
});

t.test('who acts is known at the server that does it', async (t) => {
  const [a, b] = await servers(t);
  b.has.add('s1');
  const by = { user: 'root', credential: 'tok_1', address: '192.0.2.1' };
  for (const act of [
    { do: 'cancel', session: 's1', by },
    { do: 'delete', session: 's1', by },
    { do: 'look', session: 's1', admin: 'root' },
  ] as const) {
    t.equal(await a.acts.askOwner(act), true);
    t.same(b.done.pop(), act);
  }
});

t.test('where no server has the session, who asks is told so and nothing is left to be done later', async (t) => {
  const [a, b] = await servers(t, 50);
  t.equal(await a.acts.askOwner({ do: 'delete', session: 's1' }), false);
  b.has.add('s1');
  await b.mirror.refresh();
  t.same([...a.done, ...b.done], []);
});

t.test('two administrators at once: each act is done, and each is answered', async (t) => {
  const [a, b] = await servers(t);
  b.has.add('s1');
  const both = [a.acts.askOwner({ do: 'end', session: 's1' }), a.acts.askOwner({ do: 'end', session: 's1' })];
  t.same(await Promise.all(both), [true, true]);
  t.equal(b.done.length, 2);
});

t.test('a store that does not answer: nothing is done, here neither, and that is said', async (t) => {
  const [a] = await servers(t);
  a.fault.error = new FairleadError('ERR_UNAVAILABLE', 'Redis did not answer');
  await t.rejects(a.acts.tellAll({ do: 'kick', user: 'ada' }), { code: 'ERR_UNAVAILABLE' });
  await t.rejects(a.acts.askOwner({ do: 'end', session: 's1' }), { code: 'ERR_UNAVAILABLE' });
  t.same(a.done, []);
});

t.test('an act that nobody here understands, or that is over, does nothing', async (t) => {
  const [a] = await servers(t);
  for (const value of ['{', '{"act":{"do":"dance"}}', '{"act":{"do":"kick","user":"../x"}}', 'null']) {
    a.acts.put('x', value, { endsAt: Date.now() + 60_000 });
  }
  a.acts.put('y', JSON.stringify({ act: { do: 'kick', user: 'ada' } }), { endsAt: Date.now() - 1 });
  t.same(a.done, []);
});
