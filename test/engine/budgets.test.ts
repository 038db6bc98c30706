/** Budgets of whole servers: two on one Redis, one that is killed in the middle, and what people and operators are told. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { CLI, startEngine, type Engine } from '../helpers/engine.js';
import { startModelServer, text } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startRedis } from '../helpers/redis.js';

const PRICES = { models: [{ model: '*', input: 3, output: 15 }] };

/** A Redis and a model for all servers of a test. */
async function world(t: Test) {
  const [redis, model] = await Promise.all([startRedis(), startModelServer({ keep: 0 })]);
  t.teardown(() => model.close());
  t.teardown(() => redis.stop());
  const start = async (config: Record<string, unknown>): Promise<Engine> => {
    const engine = await startEngine({
      config: {
        store: { redisUrl: redis.url },
        sandbox: { driver: 'process' },
        quotas: { default: { maxTurns: 0 } },
        limits: { maxReadsPerSecond: 0, maxBytesPerSecond: 0, maxSocketsPerUser: 1_000 },
        ...config,
      },
      env: { ANTHROPIC_API_KEY: 'sk-test', ANTHROPIC_BASE_URL: model.url },
    });
    t.teardown(() => engine.stop());
    return engine;
  };
  return { model, start };
}

interface Ended {
  session: string;
  status: number;
  body: { session?: string; usage?: Record<string, number>; code?: string; detail?: string };
}

async function post(engine: Engine, path: string, body: object): Promise<Omit<Ended, 'session'>> {
  const answer = await fetch(`${engine.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Ended['body'] };
}

async function newSession(engine: Engine): Promise<string> {
  return (await post(engine, '/v1/sessions', {})).body.session!;
}

/** One turn in a session of its own. */
async function runTurn(engine: Engine): Promise<Ended> {
  const session = await newSession(engine);
  return { session, ...(await post(engine, `/v1/sessions/${session}/messages`, { text: 'hi' })) };
}

function tokensOf({ body: { usage = {} } }: Ended): number {
  return Object.values(usage).reduce((sum, count) => sum + count, 0);
}

interface Used {
  rows: { name: string; answers: number; amount: number; inputTokens: number; outputTokens: number }[];
  budgets?: { tokens: number }[];
}

async function usage(engine: Engine, path: string): Promise<Used> {
  return (await (await fetch(`${engine.url}${path}`)).json()) as Used;
}

/** Use is written once a second. */
async function usageOf(engine: Engine, path: string, answers: number): Promise<Used> {
  for (;;) {
    const used = await usage(engine, path);
    if (used.rows.reduce((sum, row) => sum + row.answers, 0) >= answers) return used;
  }
}

t.test('of 200 turns at once on two servers with one Redis only those run that the budget pays for', async (t) => {
  const { model, start } = await world(t);
  const first = await start({});
  const tokens = tokensOf(await runTurn(first));
  t.ok(tokens > 0);
  await first.stop();
  const config = { budgets: [{ of: 'user', per: 'month', tokens: 20 * tokens }] };
  const engines = [await start(config), await start(config)];
  const before = model.count;
  const ended = await Promise.all(Array.from({ length: 200 }, (_, index) => runTurn(engines[index % 2]!)));
  const ran = ended.filter(({ status }) => status === 200);
  t.ok(ran.length === 20 || ran.length === 21, `${ran.length} ran`);
  t.equal(model.count - before, ran.length, 'no other was asked of the model');
  const refused = ended.filter(({ status }) => status !== 200);
  t.ok(refused.every(({ status, body }) => status === 402 && body.code === 'ERR_BUDGET'));
  t.match(refused[0]?.body.detail, /the budget of user local for the month is used up; it begins anew at/);
});

t.test(
  'a server that is killed in the middle of an answer holds nothing for longer than its lease, and its turn goes on',
  async (t) => {
    const { model, start } = await world(t);
    const engine = await start({ budgets: [{ of: 'user', per: 'day', tokens: 1_000_000 }] });
    const answer = deferred<void>();
    const asked = deferred<void>();
    model.script(async () => {
      asked.resolve();
      await answer.promise;
      return text('late');
    });
    const session = await newSession(engine);
    const lost = post(engine, `/v1/sessions/${session}/messages`, { text: 'hi' }).catch(() => undefined);
    await asked.promise;
    await engine.restart({ signal: 'SIGKILL' });
    await lost;
    answer.resolve();
    const { rows, budgets } = await usageOf(engine, '/v1/usage', 1);
    const used = rows.reduce((sum, row) => sum + row.inputTokens + row.outputTokens, 0);
    t.equal(budgets?.[0]?.tokens, 1_000_000 - used, 'what is left is what was not used: nothing stays reserved in it');
  },
);

t.test('people and operators see what was used, over HTTP and in the command line', async (t) => {
  const { start } = await world(t);
  const engine = await start({ prices: PRICES, budgets: [{ of: 'user', per: 'day', amount: 100 }] });
  const ended = [await runTurn(engine), await runTurn(engine)];
  const cost = ended.reduce(
    (sum, { body }) => sum + (body.usage!['inputTokens']! * 3 + body.usage!['outputTokens']! * 15) / 1e6,
    0,
  );
  const own = await usageOf(engine, '/v1/usage?by=model', 2);
  t.match(own.rows, [{ name: 'claude-sonnet-5-5', answers: 2 }]);
  t.ok(Math.abs(own.rows[0]!.amount - cost) < 1e-9);
  t.match((await usage(engine, '/v1/admin/usage?by=user')).rows, [{ name: 'local', answers: 2 }]);
  const run = promisify(execFile);
  const cli = async (...args: string[]): Promise<string> =>
    (await run(process.execPath, [CLI, 'usage', '--url', engine.url, ...args])).stdout;
  t.match(await cli('--by', 'user'), /^user .*\nlocal +\d+/);
  t.match(await cli(), /left of the budget of user local for the day: 100\.00 USD/);
  t.match(await cli('--by', 'model', '--csv'), /^model,input,.*\r\nclaude-sonnet-5-5,\d+/);
});
