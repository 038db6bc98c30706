/**
 * What does it cost that nothing is lost? Time a turn with the log on and off, and events a second that one agent thread's
 * store can log against a bare pipeline of XADD in the same run. Usage: node dist/bench/durability.js [--turns 400] [--rounds 5]
 * [--events 20000] [--sessions 200]. Needs redis-server. The log is switched off by a preload of the bench's own
 * (`bench/no-log.ts`); the product has no such switch.
 */
import { parseArgs } from 'node:util';
import { createClient } from 'redis';
import { parseConfig } from '../src/shared/config.js';
import { openStore } from '../workers/agent/store/open.js';
import { startEngine } from '../test/helpers/engine.js';
import { startModelServer } from '../test/helpers/model-server.js';
import { startRedis } from '../test/helpers/redis.js';
import { connect, type TestClient } from '../test/helpers/ws-client.js';
import { machine, percentile } from './machine.js';
import { inParallel, median, p50p99, table, times } from './report.js';

const { values } = parseArgs({
  options: {
    turns: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '5' },
    events: { type: 'string', default: '20000' },
    sessions: { type: 'string', default: '200' },
  },
});
/** What a turn of text writes: two steps of two events. */
const EVENTS_A_STEP = 2;

const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });

async function turnTimes(turns: number): Promise<void> {
  const model = await startModelServer({ keep: 0 });
  const start = (preload: Record<string, string>) =>
    startEngine({
      config: { agents: { threads: 1, spare: false }, sandbox: { driver: 'process' } },
      env: { REDIS_URL: redis.url, DOCKER_HOST: '', ANTHROPIC_API_KEY: 'b', ANTHROPIC_BASE_URL: model.url, ...preload },
    });
  const on = await start({});
  const off = await start({ NODE_OPTIONS: `--import=${new URL('no-log.js', import.meta.url).href}` });
  try {
    const clients = { on: await connect(on.wsUrl), off: await connect(off.wsUrl) };
    for (let warm = 0; warm < 50; warm++) for (const client of Object.values(clients)) await turn(client);
    const taken = { on: [] as number[], off: [] as number[] };
    for (let i = 0; i < turns; i++) {
      taken.on.push(await turn(clients.on));
      taken.off.push(await turn(clients.off));
    }
    console.log('\na turn of text, from the message to turn:end, ms');
    console.log(
      table(
        ['', 'p50', 'p99'],
        [
          ['log off', ...p50p99(taken.off)],
          ['log on', ...p50p99(taken.on)],
          ['added', ...added(taken)],
        ],
      ),
    );
    await Promise.all(Object.values(clients).map((client) => client.close()));
  } finally {
    await Promise.all([on.stop(), off.stop()]);
    await model.close();
  }
}

async function turn(client: TestClient): Promise<number> {
  const startedAt = performance.now();
  await client.ask('hello');
  const ms = performance.now() - startedAt;
  client.send({ type: 'history:reset' });
  await client.waitFor('history:cleared');
  return ms;
}

function added({ on, off }: Record<'on' | 'off', number[]>): string[] {
  return [50, 99].map((p) => (percentile(on, p) - percentile(off, p)).toFixed(2));
}

function json(seq: number): string {
  return JSON.stringify({ type: 'text', seq, turn: 1, block: 0, text: 'Hello from the stand-in model. '.repeat(4) });
}

/** The same JSON, as entries with the same ids and fields, from one connection; both in turn. */
async function eventsASecond(rounds: number, events: number, sessions: number): Promise<void> {
  const store = await openStore('redis', parseConfig({}, { REDIS_URL: redis.url }), { owner: 'bench' });
  const bare = createClient({ url: redis.url, RESP: 3 });
  await bare.connect();
  const rates = { bare: [] as number[], store: [] as number[] };
  try {
    for (let round = 0; round <= rounds; round++) {
      const perSession = Math.floor(events / sessions / EVENTS_A_STEP) * EVENTS_A_STEP;
      const bareMs = await timed(() =>
        inParallel(sessions, sessions, async (index) => {
          for (let seq = 1; seq <= perSession; seq += EVENTS_A_STEP) {
            const add = (at: number): Promise<unknown> =>
              bare.sendCommand(['XADD', `bare:${round}:${index}`, `${at}-0`, 't', String(Date.now()), 'e', json(at)]);
            await Promise.all([add(seq), add(seq + 1)]);
          }
        }),
      );
      const now = Date.now();
      const rows = Array.from({ length: sessions }, (_, index) => `bench-${round}-${index}`);
      await inParallel(sessions, sessions, async (index) => {
        const row = { session: rows[index]!, user: 'u', model: 'm', title: '', createdAt: now, lastActiveAt: now };
        await store.createSession({
          ...row,
          seq: 0,
          turns: 0,
          openTurns: [],
          allowed: [],
          owner: 'bench',
          context: null,
        });
      });
      const storeMs = await timed(() =>
        inParallel(sessions, sessions, async (index) => {
          for (let seq = 1; seq <= perSession; seq += EVENTS_A_STEP) {
            const step = [seq, seq + 1].map((at) => ({ seq: at, json: json(at) }));
            await store.commit(rows[index]!, { events: step });
          }
        }),
      );
      if (round === 0) continue; // warms up both
      rates.bare.push((perSession * sessions) / (bareMs / 1_000));
      rates.store.push((perSession * sessions) / (storeMs / 1_000));
    }
  } finally {
    await store.close();
    await bare.close();
  }
  console.log(`\nevents a second from one thread, ${sessions} sessions at once, ${EVENTS_A_STEP} events a step`);
  const [bareRate, storeRate] = [median(rates.bare), median(rates.store)];
  console.log(
    table(
      ['', 'events/s', 'of the bare ones'],
      [
        ['XADD alone, pipelined', bareRate.toFixed(0), times(1)],
        ['steps of a session', storeRate.toFixed(0), times(storeRate / bareRate)],
      ],
    ),
  );
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

try {
  console.log(machine());
  await eventsASecond(Number(values.rounds), Number(values.events), Number(values.sessions));
  await turnTimes(Number(values.turns));
} finally {
  await redis.stop();
}
