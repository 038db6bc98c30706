import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startEngine, type Engine, type LogLine } from '../helpers/engine.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const BLOWS = { NODE_OPTIONS: `--import=${new URL('threads/preload.js', import.meta.url).href}` };
const SPARE_MS = 20_000;

interface Given {
  engine: Engine;
  client: TestClient;
}

/** One agent thread, and somebody who talks to it. */
async function start(t: Test, agents: Record<string, unknown>): Promise<Given> {
  const engine = await startEngine({
    config: { agents: { threads: 1, ...agents }, sandbox: { driver: 'process' } },
    env: { DOCKER_HOST: '', LOG_LEVEL: 'debug', ...BLOWS },
  });
  t.teardown(() => engine.stop());
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  t.match(await client.ask('hello'), { stopReason: 'end_turn' });
  return { engine, client };
}

const said =
  (msg: string) =>
  (line: LogLine): boolean =>
    line.msg === msg;
const ENDED = said('agent thread ended; starting it again');
const AGAIN = said('agent thread serves again');

/** Resolves when so many restarts are in the log; says how long the last one took. */
async function restarts(engine: Engine, count: number): Promise<number> {
  const enough = (): boolean => engine.logs.filter(AGAIN).length >= count;
  await engine.waitForLog(enough, SPARE_MS);
  return Number(engine.logs.findLast(AGAIN)?.['downMs']);
}

t.test('a thread whose event loop stands still is replaced, and nobody’s socket closes', async (t) => {
  const { engine, client } = await start(t, { hangTimeoutMs: 400 });
  const { pid } = engine;
  engine.signal('SIGUSR2');
  const hung = await engine.waitForLog(said('agent thread hangs; ending it'));
  t.ok(Number(hung['hungMs']) >= 400, `${Number(hung['hungMs'])} ms`);
  t.equal(hung.level, 50);
  t.match(await client.ask('still there?'), { stopReason: 'end_turn' });
  t.comment(`down for ${await restarts(engine, 1)} ms, without a spare thread`);
  t.equal(engine.pid, pid);
  t.same(client.gaps(), []);
});

t.test('what comes while the thread is down waits for the next one', async (t) => {
  const { engine, client } = await start(t, { spare: false });
  for (const round of [1, 2, 3]) {
    engine.signal('SIGWINCH');
    await engine.waitForLog(() => engine.logs.filter(ENDED).length === round);
    t.match(await client.ask(`round ${round}`), { stopReason: 'end_turn' });
    await restarts(engine, round);
  }
  const delays = engine.logs.filter(ENDED).map((line) => line['delayMs']);
  t.same(delays, [0, 100, 200], 'at once the first time, then with a growing pause');
  t.same(
    client.events.filter(({ type }) => type === 'error'),
    [],
  );
  t.same(client.gaps(), []);
});

t.test('a spare thread takes the place of one that dies, and the next spare is loaded', async (t) => {
  const { engine, client } = await start(t, {});
  const loaded = said('a spare agent thread is loaded');
  await engine.waitForLog(loaded, SPARE_MS);
  engine.signal('SIGWINCH');
  await engine.waitForLog(ENDED);
  t.match(await client.ask('again'), { stopReason: 'end_turn' });
  t.comment(`down for ${await restarts(engine, 1)} ms, with a spare thread`);
  await engine.waitForLog(() => engine.logs.filter(loaded).length === 2, SPARE_MS);
  t.match(await client.ask('and again'), { stopReason: 'end_turn' });
});

t.test('a thread that needs more heap than it may have dies alone', async (t) => {
  const { engine, client } = await start(t, { maxHeapMb: 128 });
  const { pid } = engine;
  engine.signal('SIGPWR');
  const ended = await engine.waitForLog(ENDED, SPARE_MS);
  t.equal(ended['errCode'], 'ERR_WORKER_OUT_OF_MEMORY');
  t.match(await client.ask('still there?'), { stopReason: 'end_turn' });
  t.equal(engine.pid, pid);
});

t.test('a process that was stopped, as when a laptop sleeps, does not take its threads for hung', async (t) => {
  const { engine, client } = await start(t, { hangTimeoutMs: 400 });
  engine.signal('SIGSTOP');
  await delay(2_000); // five times what would be called hanging
  engine.signal('SIGCONT');
  t.match(await client.ask('good morning'), { stopReason: 'end_turn' });
  t.equal(engine.logs.some(ENDED), false);
});
