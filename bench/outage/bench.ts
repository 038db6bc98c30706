/** How long does nobody answer when an agent thread or the whole server dies, and how soon is a client that comes back up to date? */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'redis';
import { WebSocket } from 'ws';
import { parseConfig } from '../../src/shared/config.js';
import { PROTOCOL } from '../../src/shared/protocol.js';
import { threadOf } from '../../src/shared/threads/route.js';
import { tellPreload } from '../../test/chaos/preload-client.js';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startModelServer } from '../../test/helpers/model-server.js';
import { startRedis } from '../../test/helpers/redis.js';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';
import { openStore } from '../../workers/agent/store/open.js';
import { percentile } from '../shared/figures.js';
import { inParallel, Parts, timed } from '../shared/work.js';
import type { Bench, BenchContext, Findings, Ratio, Table } from '../suite/bench.js';

const THREADS = 2;
const SPARE_MS = 20_000;
const POLL_MS = 5;
const WARM_UP = 20;
const CALM_MESSAGES = 50;
/** A thread that dies again sooner than this is started with a pause. */
const HEALTHY_MS = 10_500;
const AIMS = { threadMs: 300, replayMs: 20, serverMs: 2_000 };

const SHORT = { deaths: 2, restarts: 1, sessions: 2_000, missed: 1_000, replays: 60 };
const FULL = { deaths: 8, restarts: 4, sessions: 10_000, missed: 1_000, replays: 200 };
type Sizes = typeof SHORT;

export const bench: Bench = {
  name: 'outage',
  question: 'How long does nobody answer when a thread or the server dies, and how soon is a client up to date again?',
  run: async (context) => {
    const sizes = context.full ? FULL : SHORT;
    const { progress } = context;
    const parts = new Parts();
    try {
      progress('starting the server', 0);
      const world = await openWorld(parts);
      const thread = await killThreads(world, sizes, context);
      progress('clients come back', 0.6);
      const replay = await measureReplays(world, sizes, context);
      progress('the server dies and starts', 0.7);
      const server = await restartServer(world, sizes, context);
      return findingsOf(sizes, { thread, replay, server });
    } finally {
      await parts.close();
    }
  },
};

interface World {
  engine: Engine;
  redisUrl: string;
  /** Where the chaos preload listens. */
  socket: string;
}

async function openWorld(parts: Parts): Promise<World> {
  const folder = await parts.open(mkdtemp(join(tmpdir(), 'fl-outage-')), (path) => rm(path, { recursive: true }));
  const redis = await parts.open(startRedis(), (server) => server.stop());
  const model = await parts.open(startModelServer({ keep: 0 }), (server) => server.close());
  const socket = join(folder, 's');
  const starting = startEngine({
    config: {
      agents: { threads: THREADS },
      limits: { maxSocketsPerUser: 1_000, maxReadsPerSecond: 0 },
      store: { eventLog: { maxEvents: 100_000 } },
      sandbox: { driver: 'docker', pool: { min: 3 } },
    },
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: model.url,
      LOG_LEVEL: 'debug',
      CHAOS_SOCKET: socket,
      NODE_OPTIONS: `--import=${new URL('../../test/chaos/preload.js', import.meta.url).href}`,
    },
  });
  const engine = await parts.open(starting, (server) => server.stop());
  return { engine, redisUrl: redis.url, socket };
}

/** ms from a message to its acceptance, which is a write of the session. */
interface ThreadDeaths {
  /** Before any death. */
  before: number[];
  /** From the death on, of a session of the dead thread. */
  own: number[];
  /** Meanwhile, of a session of the other thread. */
  other: number[];
}

async function killThreads({ engine, socket }: World, { deaths }: Sizes, context: BenchContext): Promise<ThreadDeaths> {
  const [struck, other] = [await clientOn(0, engine), await clientOn(1, engine)];
  const times: ThreadDeaths = { before: [], own: [], other: [] };
  for (let i = 0; i < CALM_MESSAGES; i++) times.before.push(await accepted(struck), await accepted(other));
  const count = (start: string): number => engine.logs.filter(({ msg }) => msg.startsWith(start)).length;
  for (let death = 1; death <= deaths; death++) {
    context.progress(`an agent thread dies: ${death} of ${deaths}`, (0.6 * (death - 1)) / deaths);
    const spareLoaded = engine.waitForLog(() => count('a spare agent thread is loaded') >= death, SPARE_MS);
    await Promise.all([spareLoaded, delay(HEALTHY_MS, undefined, { signal: context.signal })]);
    const already = count('agent thread ended');
    await tellPreload(socket, 'die agent 0');
    await engine.waitForLog(() => count('agent thread ended') > already);
    const own = accepted(struck);
    const answered = own.then(() => true);
    for (let isBack = false; !isBack;) {
      const meanwhile = accepted(other);
      isBack = await Promise.race([answered, meanwhile.then(() => false)]);
      times.other.push(await meanwhile);
    }
    times.own.push(await own);
  }
  await Promise.all([struck.close(), other.close()]);
  return times;
}

/** A client whose session is that thread's. */
async function clientOn(thread: number, { wsUrl }: Engine): Promise<TestClient> {
  for (;;) {
    const client = await connect(wsUrl);
    const { session } = await client.ready;
    if (threadOf(session, THREADS) === thread) return client;
    await client.close();
  }
}

async function accepted(client: TestClient): Promise<number> {
  const ms = await timed(async () => {
    const id = client.say('hello');
    await client.waitFor((event) => 'id' in event && event.id === id);
  });
  await client.waitFor('turn:end');
  return ms;
}

/** ms. */
interface Replays {
  fairlead: number[];
  xrange: number[];
}

/** A client reconnects that has missed events, from the connect to the last of them; and Redis alone reads as many. */
async function measureReplays(world: World, { missed, replays }: Sizes, { signal }: BenchContext): Promise<Replays> {
  const { wsUrl } = world.engine;
  const client = await connect(wsUrl);
  const { session } = await client.ready;
  while (client.lastSeq < missed) await client.ask('hello');
  const { lastSeq } = client;
  await client.close();
  const redis = createClient({ url: world.redisUrl, RESP: 3 });
  await redis.connect();
  try {
    const event = JSON.stringify({ type: 'text', seq: 1, turn: 1, block: 0, text: 'Hello from the stand-in model.' });
    for (let seq = 1; seq <= missed; seq++) await redis.sendCommand(['XADD', 'plain', `${seq}-0`, 'e', event]);
    const times: Replays = { fairlead: [], xrange: [] };
    for (let replay = -WARM_UP; replay < replays; replay++) {
      signal.throwIfAborted();
      const fairlead = await timed(() => catchUp(`${wsUrl}?session=${session}&after=${lastSeq - missed}`, missed));
      const xrange = await timed(() => redis.sendCommand(['XRANGE', 'plain', '-', '+']));
      if (replay < 0) continue;
      times.fairlead.push(fairlead);
      times.xrange.push(xrange);
    }
    return times;
  } finally {
    await redis.close();
  }
}

/** Resolves with the last missed event, which `session:ready` comes before. */
function catchUp(url: string, missed: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, [PROTOCOL]);
    let frames = 0;
    socket.on('message', () => {
      if (++frames <= missed) return;
      resolve();
      socket.terminate();
    });
    socket.on('error', reject);
  });
}

/** ms from the start of the process to /readyz 200. */
type Restarts = Record<'SIGKILL' | 'SIGTERM', number[]>;

async function restartServer({ engine, redisUrl }: World, sizes: Sizes, { signal }: BenchContext): Promise<Restarts> {
  await fillStore(redisUrl, await engine.instance(), sizes.sessions);
  const times: Restarts = { SIGKILL: [], SIGTERM: [] };
  for (let restart = 0; restart < sizes.restarts; restart++) {
    for (const how of ['SIGKILL', 'SIGTERM'] as const) {
      signal.throwIfAborted();
      engine.signal(how);
      await engine.exited;
      times[how].push(
        await timed(async () => {
          await engine.start();
          while (!(await fetch(`${engine.url}/readyz`)).ok) await delay(POLL_MS);
        }),
      );
    }
  }
  return times;
}

async function fillStore(redisUrl: string, owner: string, sessions: number): Promise<void> {
  const store = await openStore('redis', parseConfig({}, { REDIS_URL: redisUrl }), { owner });
  const now = Date.now();
  await inParallel(sessions, 100, async (index) => {
    const session = `filled-${index}`;
    const row = { session, user: 'local', model: 'm', title: 't', createdAt: now, lastActiveAt: now, owner };
    await store.createSession({ ...row, seq: 0, turns: 0, openTurns: [], allowed: [], context: null });
    await store.commit(session, {
      events: [{ seq: 1, json: '{"type":"history:cleared","seq":1}' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
    });
  });
  await store.close();
}

interface Measured {
  thread: ThreadDeaths;
  replay: Replays;
  server: Restarts;
}

function findingsOf(sizes: Sizes, { thread, replay, server }: Measured): Findings {
  return {
    settings: { ...sizes, agentThreads: THREADS, warmContainers: 3 },
    ratios: [
      ms(
        'thread-death',
        'Agent thread dies: its sessions answer again after, p50',
        percentile(thread.own, 50),
        AIMS.threadMs,
      ),
      ms(
        'replay-p99',
        `Client comes back and has missed ${sizes.missed.toLocaleString('en')} events: all received after, p99`,
        percentile(replay.fairlead, 99),
        AIMS.replayMs,
      ),
      ms(
        'server-death',
        `Server starts after kill -9, ${sizes.sessions.toLocaleString('en')} stored sessions: ready after, p50`,
        percentile(server.SIGKILL, 50),
        AIMS.serverMs,
      ),
    ],
    tables: [
      {
        title: 'Until somebody answers, ms',
        head: ['', 'p50', 'p99', 'max'],
        rows: [
          row('a message is accepted, before', thread.before),
          row('an agent thread dies: from its death to the next acceptance, its sessions', thread.own),
          row('the other thread’s sessions, meanwhile', thread.other),
          row(`a client comes back: from the connect to the last of ${sizes.missed} missed events`, replay.fairlead),
          row('the same number of events read with XRANGE alone', replay.xrange),
          row('the server starts after kill -9: to /readyz 200', server.SIGKILL),
          row('the server starts after SIGTERM: to /readyz 200', server.SIGTERM),
        ],
      },
    ],
    plots: [],
    doubts: [`${sizes.deaths} deaths and ${sizes.restarts} restarts of each kind: their p99 is the slowest one`],
  };
}

function ms(id: string, name: string, value: number, aim: number): Ratio {
  return { id, name, value, unit: 'ms', better: 'lower', aim };
}

function row(name: string, times: readonly number[]): Table['rows'][number] {
  return [name, percentile(times, 50), percentile(times, 99), Math.max(...times)];
}
