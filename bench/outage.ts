/**
 * For how long does nobody get an answer when an agent thread or the whole server dies, and how fast is a client that comes
 * back up to date? Usage: node dist/bench/outage.js [--rounds 8] [--sessions 10000] [--missed 1000] [--replays 200]
 * Needs redis-server and dockerd.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createClient } from 'redis';
import { WebSocket } from 'ws';
import { openStore } from '../workers/agent/store/open.js';
import { parseConfig } from '../src/shared/config.js';
import { PROTOCOL } from '../src/shared/protocol.js';
import { threadOf } from '../src/shared/threads/route.js';
import { dockerHost } from '../test/helpers/docker.js';
import { startEngine } from '../test/helpers/engine.js';
import { startModelServer } from '../test/helpers/model-server.js';
import { startRedis } from '../test/helpers/redis.js';
import { connect, type TestClient } from '../test/helpers/ws-client.js';
import { machine, percentile } from './machine.js';
import { inParallel, table } from './report.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    sessions: { type: 'string', default: '10000' },
    missed: { type: 'string', default: '1000' },
    replays: { type: 'string', default: '200' },
  },
});
const THREADS = 2;
const SPARE_MS = 20_000;
const POLL_MS = 5;
const WARM_UP = 20;
/** A thread that dies sooner after its last death is started again with a pause. */
const HEALTHY_MS = 10_500;

const folder = await mkdtemp(join(tmpdir(), 'fl-outage-'));
const redis = await startRedis();
const model = await startModelServer({ keep: 0 });
const engine = await startEngine({
  config: {
    agents: { threads: THREADS },
    limits: { maxSocketsPerUser: 1_000 },
    store: { eventLog: { maxEvents: 100_000 } },
    sandbox: { driver: 'docker', pool: { min: 3 } },
  },
  env: {
    REDIS_URL: redis.url,
    DOCKER_HOST: dockerHost(),
    ANTHROPIC_API_KEY: 'bench',
    ANTHROPIC_BASE_URL: model.url,
    LOG_LEVEL: 'debug',
    CHAOS_SOCKET: join(folder, 's'),
    NODE_OPTIONS: `--import=${new URL('../test/chaos/preload.js', import.meta.url).href}`,
  },
});

function command(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(join(folder, 's'), () => socket.end(line, () => resolve()));
    socket.on('error', reject);
  });
}

/** One session on each thread. */
async function clientOf(thread: number): Promise<TestClient> {
  for (;;) {
    const client = await connect(engine.wsUrl);
    const { session } = await client.ready;
    if (threadOf(session, THREADS) === thread) return client;
    await client.close();
  }
}

/** From the message to its acceptance, which is a write of the session. */
async function accepted(client: TestClient): Promise<number> {
  const startedAt = performance.now();
  const id = client.say('hello');
  await client.waitFor((event) => 'id' in event && event.id === id);
  const ms = performance.now() - startedAt;
  await client.waitFor('turn:end');
  return ms;
}

function spareLoaded(count: number): Promise<unknown> {
  const loaded = (): number => engine.logs.filter(({ msg }) => msg === 'a spare agent thread is loaded').length;
  return engine.waitForLog(() => loaded() >= count, SPARE_MS);
}

async function agentThread(rounds: number): Promise<void> {
  const [struck, other] = [await clientOf(0), await clientOf(1)];
  const before: number[] = [];
  for (let i = 0; i < 50; i++) before.push(await accepted(struck), await accepted(other));
  const down: number[] = [];
  const beside: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    await Promise.all([spareLoaded(round), new Promise((resolve) => setTimeout(resolve, HEALTHY_MS))]);
    const ended = (): number => engine.logs.filter(({ msg }) => msg.startsWith('agent thread ended')).length;
    const already = ended();
    await command('die agent 0');
    await engine.waitForLog(() => ended() > already);
    const back = accepted(struck);
    const over = back.then(() => true);
    for (let goesOn = true; goesOn;) {
      const one = accepted(other);
      goesOn = !(await Promise.race([over, one.then(() => false)]));
      beside.push(await one);
    }
    down.push(await back);
  }
  console.log('\nan agent thread is killed: from the death to the acceptance of the next message, ms');
  console.log(
    table(
      ['', 'p50', 'p99', 'max'],
      [
        ['before, any thread', ...figures(before)],
        ['its sessions', ...figures(down)],
        ['another thread’s, meanwhile', ...figures(beside)],
      ],
    ),
  );
  await Promise.all([struck.close(), other.close()]);
}

async function server(rounds: number, sessions: number): Promise<void> {
  const instance = await engine.instance();
  const store = await openStore('redis', parseConfig({}, { REDIS_URL: redis.url }), { owner: instance });
  const now = Date.now();
  await inParallel(sessions, 100, async (index) => {
    const session = `filled-${index}`;
    const row = { session, user: 'local', model: 'm', title: 't', createdAt: now, lastActiveAt: now };
    await store.createSession({ ...row, seq: 0, turns: 0, openTurns: [], allowed: [], owner: instance, context: null });
    await store.commit(session, {
      events: [{ seq: 1, json: '{"type":"history:cleared","seq":1}' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
    });
  });
  await store.close();
  const killed: number[] = [];
  const stopped: number[] = [];
  for (let round = 0; round < rounds; round++) {
    killed.push(await untilReady('SIGKILL'));
    stopped.push(await untilReady('SIGTERM'));
  }
  console.log(
    `\nthe server is started again, ${sessions} sessions in Redis, 3 containers: from the start to /readyz 200, ms`,
  );
  console.log(
    table(
      ['', 'p50', 'max'],
      [
        ['after kill -9', percentile(killed, 50).toFixed(0), Math.max(...killed).toFixed(0)],
        ['after SIGTERM', percentile(stopped, 50).toFixed(0), Math.max(...stopped).toFixed(0)],
      ],
    ),
  );
}

async function untilReady(signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
  engine.signal(signal);
  await engine.exited;
  const startedAt = performance.now();
  await engine.start();
  for (;;) {
    if ((await fetch(`${engine.url}/readyz`)).ok) return performance.now() - startedAt;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A log as turns leave it; the client has none of it. */
async function replay(missed: number, replays: number): Promise<void> {
  const client = await connect(engine.wsUrl);
  const { session } = await client.ready;
  while (client.lastSeq < missed) await client.ask('hello');
  const { lastSeq } = client;
  await client.close();
  const times: number[] = [];
  for (let i = 0; i < replays + WARM_UP; i++) {
    const ms = await comeBack(`${engine.wsUrl}?session=${session}&after=${lastSeq - missed}`, missed);
    if (i >= WARM_UP) times.push(ms);
  }
  console.log(`\na client comes back and has missed ${missed} events: from the connect to the last of them, ms`);
  console.log(table(['', 'p50', 'p99', 'max'], [['connect, attach, replay', ...figures(times)]]));
}

/** From the connect to the last event: `session:ready` and as many as were missed. */
function comeBack(url: string, missed: number): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, [PROTOCOL]);
    let frames = 0;
    socket.on('message', () => {
      if (++frames <= missed) return;
      resolve(performance.now() - startedAt);
      socket.terminate();
    });
    socket.on('error', reject);
  });
}

/** The same without Fairlead: what Redis and a socket need for it. */
async function bareRead(missed: number, replays: number): Promise<void> {
  const client = createClient({ url: redis.url, RESP: 3 });
  await client.connect();
  const event = JSON.stringify({ type: 'text', seq: 1, turn: 1, block: 0, text: 'Hello from the stand-in model.' });
  for (let seq = 1; seq <= missed; seq++) await client.sendCommand(['XADD', 'bare', `${seq}-0`, 'e', event]);
  const times: number[] = [];
  for (let i = 0; i < replays; i++) {
    const startedAt = performance.now();
    await client.sendCommand(['XRANGE', 'bare', '-', '+']);
    times.push(performance.now() - startedAt);
  }
  await client.close();
  console.log(table(['', 'p50', 'p99', 'max'], [['XRANGE of as many, bare', ...figures(times)]]));
}

function figures(values: readonly number[]): string[] {
  return [percentile(values, 50).toFixed(1), percentile(values, 99).toFixed(1), Math.max(...values).toFixed(1)];
}

try {
  console.log(machine());
  await agentThread(Number(values.rounds));
  await replay(Number(values.missed), Number(values.replays));
  await bareRead(Number(values.missed), Number(values.replays));
  await server(Math.max(1, Math.round(Number(values.rounds) / 2)), Number(values.sessions));
} finally {
  await engine.stop();
  await model.close();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
}
