/**
 * What does a tool call through all of Fairlead cost against the same call on the container's attached stream?
 * Usage: node dist/bench/tool-call.js [--calls 200]; beside dockerd and redis-server, `npm run image` done.
 * One call of each kind in turn, in one run; read_file on a file of a few bytes. The stand-in model is not in the figures.
 */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { dockerHost } from '../test/helpers/docker.js';
import { startEngine } from '../test/helpers/engine.js';
import { lastText, offeredTool, startModelServer, text, tool, toolResults } from '../test/helpers/model-server.js';
import type { Script } from '../test/helpers/model-server.js';
import { startRedis } from '../test/helpers/redis.js';
import { connect, type TestClient } from '../test/helpers/ws-client.js';
import { BareContainers } from './bare-container.js';
import { machine, percentile } from './machine.js';
import { benchConfig, p50p99, table, times, untilInterrupted } from './report.js';
import { Shelf } from './shelf.js';

const { values } = parseArgs({
  options: { calls: { type: 'string', default: '200' }, help: { type: 'boolean', default: false } },
});
if (values.help) {
  console.log(`Usage: node dist/bench/tool-call.js [options]; beside dockerd and redis-server

  --calls N  of each kind (200)`);
  process.exit(0);
}
const WARM_UP = 30;
const PATH = 'tiny.txt';
const WRITE = { name: 'write_file', arguments: { path: PATH, content: 'a few bytes\n' } };
const READ = { name: 'read_file', arguments: { path: PATH } };

const stopping = untilInterrupted();
/** What was opened, to be closed in reverse. */
const opened: (() => Promise<unknown>)[] = [];

async function open<T>(opening: Promise<T>, close: (what: T) => Promise<unknown>): Promise<T> {
  const what = await opening;
  opened.push(() => close(what));
  return what;
}

/** The model calls whatever tool the person names, and is done when it has its result. */
const script: Script = ({ body }) => {
  if (toolResults(body).length > 0) return text('done');
  const wanted = lastText(body) === WRITE.name ? WRITE : READ;
  return tool(offeredTool(body, wanted.name) ?? wanted.name, wanted.arguments);
};

/** A person, and an engine that does or does not ask before it reads a file. */
async function startPerson(modelUrl: string, redisUrl: string, action: 'allow' | 'ask'): Promise<TestClient> {
  const starting = startEngine({
    env: {
      REDIS_URL: redisUrl,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: modelUrl,
      LOG_LEVEL: 'info',
    },
    config: { approvals: { default: 'allow', rules: [{ tool: 'read_file', action }] } },
  });
  const engine = await open(starting, (what) => what.stop());
  const client = await open(connect(engine.wsUrl), (what) => what.close());
  await client.ask(WRITE.name, { timeoutMs: 60_000 });
  return client;
}

interface ToolTimes {
  /** From `tool:start`, or from the person's yes, to `tool:result`, as the client sees them. */
  seenMs: number;
  /** What `tool:result` says itself: whole ms. */
  ownMs: number;
}

async function callThrough(client: TestClient, asked: boolean): Promise<ToolTimes> {
  client.say(READ.name);
  const first = await client.waitFor(asked ? 'tool:approval_required' : 'tool:start');
  const before = performance.now();
  if (asked) client.approve(first.callId);
  const result = await client.waitFor('tool:result');
  const seenMs = performance.now() - before;
  if (!result.ok) throw new Error(`the tool failed: ${JSON.stringify(result.content)}`);
  await client.waitFor('turn:end');
  client.send({ type: 'history:reset' });
  await client.waitFor('history:cleared');
  return { seenMs, ownMs: result.ms };
}

try {
  const bares = new BareContainers(benchConfig(tmpdir(), {}), `bench-${randomUUID()}`);
  opened.push(() => bares.removeAll());
  const bare = await bares.make();
  await bare.greet();
  await bare.call(WRITE);
  const shelf = await open(Shelf.open({ pool: { min: 1, max: 1 } }), (what) => what.close());
  const held = await shelf.lease();
  await held.call(WRITE);
  const redis = await open(startRedis(), (what) => what.stop());
  const model = await open(startModelServer({ script, keep: 0 }), (what) => what.close());
  const free = await startPerson(model.url, redis.url, 'allow');
  const asked = await startPerson(model.url, redis.url, 'ask');

  const figures = { bare: [] as number[], thread: [] as number[], free: [] as ToolTimes[], asked: [] as ToolTimes[] };
  for (let call = -WARM_UP; call < Number(values.calls); call++) {
    stopping.throwIfAborted();
    const one = {
      bare: await bare.call(READ),
      thread: await held.call(READ),
      free: await callThrough(free, false),
      asked: await callThrough(asked, true),
    };
    if (call < 0) continue;
    figures.bare.push(one.bare);
    figures.thread.push(one.thread);
    figures.free.push(one.free);
    figures.asked.push(one.asked);
  }

  const base = percentile(figures.bare, 50);
  const row = (name: string, ms: number[]): string[] => [name, ...p50p99(ms), times(percentile(ms, 50) / base)];
  const seen = (all: ToolTimes[]): number[] => all.map(({ seenMs }) => seenMs);
  console.log(machine());
  console.log(`${values.calls} calls of each in turn, Redis; ms\n`);
  console.log(
    table(
      ['read_file', 'p50', 'p99', 'of bare'],
      [
        row('bare: written to the attached stream, answer read', figures.bare),
        row('through the docker thread', figures.thread),
        row(
          'as tool:result says it (whole ms)',
          [...figures.free, ...figures.asked].map(({ ownMs }) => ownMs),
        ),
        row('client: tool:start to tool:result', seen(figures.free)),
        row('client: a person’s yes to tool:result', seen(figures.asked)),
      ],
    ),
  );
} finally {
  for (const close of opened.toReversed()) await close();
}
