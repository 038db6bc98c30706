/**
 * How much later does the first token come through Fairlead than from the same call made directly with the SDK?
 * Usage: node dist/bench/added-latency.js [--turns 300] [--at-once 200] [--rounds 5] [--gap-ms 0]
 * The stand-in model runs as a process of its own; both ways are taken in turn in one run. Needs redis-server.
 */
import Anthropic from '@anthropic-ai/sdk';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startEngine, type Engine } from '../test/helpers/engine.js';
import { startModelServer } from '../test/helpers/model-server.js';
import { startRedis } from '../test/helpers/redis.js';
import { connect, type TestClient } from '../test/helpers/ws-client.js';
import { machine, percentile } from './machine.js';

const { values } = parseArgs({
  options: {
    turns: { type: 'string', default: '300' },
    'at-once': { type: 'string', default: '200' },
    rounds: { type: 'string', default: '5' },
    'gap-ms': { type: 'string', default: '0' },
  },
});
const atOnce = Number(values['at-once']);

const redis = await startRedis();
const body = await captureRequest();
const model = spawn(
  process.execPath,
  [
    fileURLToPath(new URL('../test/helpers/model-server-main.js', import.meta.url)),
    '--tokens',
    '20',
    '--gap-ms',
    values['gap-ms'],
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const [line] = (await once(createInterface({ input: model.stdout }), 'line')) as [string];
const { url } = JSON.parse(line) as { url: string };
const engine = await startOn(url);
const sdk = new Anthropic({ apiKey: 'bench', baseURL: url });

function startOn(modelUrl: string): Promise<Engine> {
  return startEngine({
    env: { REDIS_URL: redis.url, ANTHROPIC_API_KEY: 'bench', ANTHROPIC_BASE_URL: modelUrl },
    config: { limits: { maxSocketsPerUser: atOnce + 10 }, sandbox: { driver: 'process' } },
  });
}

/** What Fairlead sends for «hello», tools and cache marks included: the direct call must be the same call. */
async function captureRequest(): Promise<Anthropic.MessageCreateParamsStreaming> {
  const capture = await startModelServer();
  const capturing = await startOn(capture.url);
  const client = await connect(capturing.wsUrl);
  await client.ask('hello');
  await client.close();
  await capturing.stop();
  await capture.close();
  return capture.requests[0]?.body as unknown as Anthropic.MessageCreateParamsStreaming;
}

async function direct(): Promise<number> {
  const startedAt = performance.now();
  let first = 0;
  const stream = await sdk.messages.create(body);
  for await (const event of stream) {
    if (event.type === 'content_block_delta' && first === 0) first = performance.now() - startedAt;
  }
  return first;
}

async function through(client: TestClient): Promise<number> {
  const startedAt = performance.now();
  client.say('hello');
  await client.waitFor('text:delta');
  const first = performance.now() - startedAt;
  await client.waitFor('turn:end');
  client.send({ type: 'history:reset' });
  await client.waitFor('history:cleared');
  return first;
}

function report(title: string, directly: number[], throughUs: number[]): void {
  console.log(`\n${title}: first token, ms     p50      p99`);
  console.log(`  SDK directly        ${figure(directly, 50)} ${figure(directly, 99)}`);
  console.log(`  through Fairlead    ${figure(throughUs, 50)} ${figure(throughUs, 99)}`);
  const added = (p: number): string => (percentile(throughUs, p) - percentile(directly, p)).toFixed(2).padStart(8);
  console.log(`  added               ${added(50)} ${added(99)}`);
}

function figure(values: number[], p: number): string {
  return percentile(values, p).toFixed(2).padStart(8);
}

const clients: TestClient[] = [];
try {
  clients.push(...(await Promise.all(Array.from({ length: atOnce }, () => connect(engine.wsUrl)))));
  const [one] = clients as [TestClient];
  for (let warm = 0; warm < 50; warm++) {
    await direct();
    await through(one);
  }
  console.log(machine());
  const single = { direct: [] as number[], through: [] as number[] };
  for (let turn = 0; turn < Number(values.turns); turn++) {
    single.direct.push(await direct());
    single.through.push(await through(one));
  }
  report('1 turn at a time', single.direct, single.through);
  const many = { direct: [] as number[], through: [] as number[] };
  for (let round = 0; round <= Number(values.rounds); round++) {
    const directly = await Promise.all(clients.map(() => direct()));
    const throughUs = await Promise.all(clients.map(through));
    if (round === 0) continue; // warms up both
    many.direct.push(...directly);
    many.through.push(...throughUs);
  }
  report(`${atOnce} turns at once`, many.direct, many.through);
} finally {
  await Promise.all(clients.map((client) => client.close()));
  await engine.stop();
  model.kill();
  await redis.stop();
}
