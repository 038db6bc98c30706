/** Measures a tool call through all of Fairlead, through the docker thread alone, and on the attached stream alone. */
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine } from '../../test/helpers/engine.js';
import { lastText, offeredTool, startModelServer, text, tool, toolResults } from '../../test/helpers/model-server.js';
import type { Script } from '../../test/helpers/model-server.js';
import { startRedis } from '../../test/helpers/redis.js';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';
import type { BareContainers } from '../shared/bare-container.js';
import { WarmPool } from '../shared/warm-pool.js';
import { withHandshake } from './bare.js';

const WARM_UP = 30;
const PATH = 'tiny.txt';
const WRITE = { name: 'write_file', arguments: { path: PATH, content: 'a few bytes\n' } };
const READ = { name: 'read_file', arguments: { path: PATH } };

export interface ToolCallOptions {
  bares: BareContainers;
  calls: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** ms; the kinds take turns. */
export interface ToolCallTimes {
  bare: number[];
  thread: number[];
  /** From `tool:start` to `tool:result`, as the client sees them. */
  free: number[];
  /** From the user's approval to `tool:result`. */
  asked: number[];
}

/** The model calls the tool that the user names, and ends the turn when it has the result. */
const script: Script = ({ body }) => {
  if (toolResults(body).length > 0) return text('done');
  const wanted = lastText(body) === WRITE.name ? WRITE : READ;
  return tool(offeredTool(body, wanted.name) ?? wanted.name, wanted.arguments);
};

export async function measureToolCalls({ bares, calls, signal, progress }: ToolCallOptions): Promise<ToolCallTimes> {
  const opened: (() => Promise<unknown>)[] = [];
  const open = async <T>(opening: Promise<T>, close: (what: T) => Promise<unknown>): Promise<T> => {
    const what = await opening;
    opened.push(() => close(what));
    return what;
  };
  /** A client, and a server that does or does not ask for approval before it reads a file. */
  const startClient = async (modelUrl: string, redisUrl: string, action: 'allow' | 'ask'): Promise<TestClient> => {
    signal.throwIfAborted();
    const starting = startEngine({
      env: {
        REDIS_URL: redisUrl,
        DOCKER_HOST: dockerHost(),
        ANTHROPIC_API_KEY: 'bench',
        ANTHROPIC_BASE_URL: modelUrl,
      },
      config: { approvals: { default: 'allow', rules: [{ tool: 'read_file', action }] } },
    });
    const engine = await open(starting, (what) => what.stop());
    const client = await open(connect(engine.wsUrl), (what) => what.close());
    await client.ask(WRITE.name, { timeoutMs: 60_000 });
    return client;
  };
  try {
    progress('servers start');
    const bare = await withHandshake(bares, signal);
    await bare.call(WRITE);
    const warmPool = await open(WarmPool.open({ pool: { min: 1, max: 1 } }), (what) => what.close());
    const held = await warmPool.lease();
    await held.call(WRITE);
    const redis = await open(startRedis(), (what) => what.stop());
    const model = await open(startModelServer({ script, keep: 0 }), (what) => what.close());
    const free = await startClient(model.url, redis.url, 'allow');
    const asked = await startClient(model.url, redis.url, 'ask');
    progress(`${calls} calls of each kind`);
    const times: ToolCallTimes = { bare: [], thread: [], free: [], asked: [] };
    for (let call = -WARM_UP; call < calls; call++) {
      signal.throwIfAborted();
      const one = {
        bare: await bare.call(READ),
        thread: await held.call(READ),
        free: await callThrough(free, false),
        asked: await callThrough(asked, true),
      };
      if (call < 0) continue;
      for (const kind of ['bare', 'thread', 'free', 'asked'] as const) times[kind].push(one[kind]);
    }
    return times;
  } finally {
    for (const close of opened.toReversed()) await close();
    await bares.removeAll();
  }
}

async function callThrough(client: TestClient, asked: boolean): Promise<number> {
  client.say(READ.name);
  const first = await client.waitFor(asked ? 'tool:approval_required' : 'tool:start');
  const before = performance.now();
  if (asked) client.approve(first.callId);
  const result = await client.waitFor('tool:result');
  const ms = performance.now() - before;
  if (!result.ok) throw new Error(`the tool failed: ${JSON.stringify(result.content)}`);
  await client.waitFor('turn:end');
  client.send({ type: 'history:reset' });
  await client.waitFor('history:cleared');
  return ms;
}
