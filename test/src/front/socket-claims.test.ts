/** Two fronts on one Redis: what each counts of a user holds for both. */
import t, { type Test } from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import type { FairleadError } from '../../../src/shared/errors.js';
import type { Subscriber } from '../../../src/front/hub.js';
import { Presence } from '../../../src/front/presence.js';
import { SocketClaims } from '../../../src/front/socket-claims.js';
import { createLog } from '../../../src/shared/log.js';
import { openRedisStore } from '../../../workers/agent/store/redis-store.js';
import type { Store } from '../../../workers/agent/store/store.js';
import type { Agents } from '../../../src/threads/agents.js';
import { personOf } from '../../helpers/people.js';
import { deferred, type Deferred } from '../../helpers/processes.js';
import { newRedis } from '../../workers/agent/store/redis-backend.js';
import { LIMITS } from '../../workers/agent/store/store-backend.js';

const log = createLog('test', 'silent');

interface Tried extends Subscriber {
  refused: Deferred<FairleadError | undefined>;
}

function subscriber(): Tried {
  const refused = deferred<FairleadError | undefined>();
  const person = personOf('ann');
  return {
    open: true,
    user: 'ann',
    person,
    seq: 0,
    send: () => undefined,
    gone: (_code, _reason, error) => refused.resolve(error),
    refused,
  };
}

/** The agent threads, as far as connections are counted. `asked` settles when the store has answered the last request. */
function agentsOn(store: Pick<Store, 'counters'>): { agents: Pick<Agents, 'request'>; asked: () => Promise<unknown> } {
  let last: Promise<unknown> = Promise.resolve();
  const answer = async (name: string, body: never): Promise<unknown> => {
    const { counters } = store;
    const { max, server, claims, ...claim } = body as { max: number; server: string; claims: [] } & {
      user: string;
      open: number;
    };
    if (name === 'renew-sockets') return counters.renewSockets(server, claims);
    const over = await counters.claimSockets({ server, ...claim }, max);
    return over ? { over } : {};
  };
  const request = (_session: string, name: string, body: unknown): Promise<unknown> => {
    return (last = answer(name, body as never));
  };
  return { agents: { request } as Pick<Agents, 'request'>, asked: () => last };
}

async function front(t: Test, url: string, instance: string, quotas: object = { default: { maxSockets: 2 } }) {
  const store = await openRedisStore(url, { owner: instance, limits: LIMITS });
  t.teardown(() => store.close());
  const { agents, asked } = agentsOn(store);
  const config = parseConfig({ quotas }, {}, '/tmp');
  const claims = new SocketClaims({ agents, instance, failOpen: config.quotas.failOpen, log });
  const presence = new Presence({ limits: config.limits, quotas: config.quotas, claims });
  return { store, presence, asked };
}

async function isRefused(presence: Presence, asked: () => Promise<unknown>, who: Tried): Promise<string> {
  const full = presence.enter('ann', who);
  if (full) return full.code;
  await asked();
  await new Promise((resolve) => setImmediate(resolve));
  who.refused.resolve(undefined);
  return (await who.refused.promise)?.code ?? 'ok';
}

t.test('a user’s connections at two servers are counted together, and one that closes makes room', async (t) => {
  const redis = await newRedis(t);
  const [a, b] = [await front(t, redis.url, 'server-a'), await front(t, redis.url, 'server-b')];
  const [first, second, third] = [subscriber(), subscriber(), subscriber()];
  t.equal(await isRefused(a.presence, a.asked, first), 'ok');
  t.equal(await isRefused(b.presence, b.asked, second), 'ok');
  t.equal(await isRefused(a.presence, a.asked, third), 'ERR_QUOTA');
  a.presence.leave('ann', third);
  t.match((await third.refused.promise)?.details, { limit: 'maxSockets', max: 2, used: 2 });
  b.presence.leave('ann', second);
  const known = async (): Promise<boolean> => {
    const counts = { server: 'c#1', user: 'ann', open: 1 };
    const over = await a.store.counters.claimSockets(counts, 2);
    if (!over) await a.store.counters.renewSockets('c#1', [{ user: 'ann', open: 0 }]);
    return !over;
  };
  while (!(await known()));
  t.equal(await isRefused(a.presence, a.asked, subscriber()), 'ok');
});

t.test('what a server that has crashed had open counts no more once it is back', async (t) => {
  const redis = await newRedis(t);
  const [a, b] = [await front(t, redis.url, 'server-a'), await front(t, redis.url, 'server-b')];
  t.equal(await isRefused(a.presence, a.asked, subscriber()), 'ok');
  t.equal(await isRefused(a.presence, a.asked, subscriber()), 'ok');
  t.equal(await isRefused(b.presence, b.asked, subscriber()), 'ERR_QUOTA');
  await b.store.counters.renewSockets('server-a#second', []);
  const c = await front(t, redis.url, 'server-c');
  t.equal(await isRefused(c.presence, c.asked, subscriber()), 'ok');
});

t.test('a limit of one server alone needs no other, and replaces that of all users', async (t) => {
  const config = parseConfig({ quotas: { default: { maxSockets: 1 }, users: { bob: { maxSockets: 0 } } } }, {}, '/tmp');
  const presence = new Presence({ limits: { ...config.limits, maxSocketsPerUser: 1 }, quotas: config.quotas });
  t.equal(presence.enter('ann', subscriber()), undefined);
  t.match(presence.enter('ann', subscriber()), {
    code: 'ERR_QUOTA',
    details: { limit: 'maxSockets', max: 1, used: 1 },
  });
  const bob = (): Subscriber => ({ ...subscriber(), user: 'bob', person: personOf('bob') });
  for (let index = 0; index < 5; index++) t.equal(presence.enter('bob', bob()), undefined, '0 is no limit');
});

t.test('while the counters are away a connection is closed, unless the configuration opens it', async (t) => {
  for (const failOpen of [false, true]) {
    const config = parseConfig({ quotas: { default: { maxSockets: 2 }, failOpen } }, {}, '/tmp');
    const away = Promise.reject(new Error('away'));
    away.catch(() => undefined);
    const agents = { request: () => away } as unknown as Pick<Agents, 'request'>;
    const claims = new SocketClaims({ agents, instance: 'a', failOpen, log });
    const presence = new Presence({ limits: config.limits, quotas: config.quotas, claims });
    const who = subscriber();
    t.equal(await isRefused(presence, () => away.catch(() => undefined), who), failOpen ? 'ok' : 'ERR_UNAVAILABLE');
    presence.leave('ann', who);
  }
});
