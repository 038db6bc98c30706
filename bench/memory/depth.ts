/** The cost of a deep history: its bytes in Redis, compared with the same messages as raw JSON, and the server's memory in a turn. */
import { setTimeout as pause } from 'node:timers/promises';
import type { ModelServer } from '../../test/helpers/model-server.js';
import { Probe, share, type Growth } from './growth.js';
import { startMeasuredEngine } from './measured.js';
import { People } from './people.js';
import { said, SAY } from './script.js';
import { RedisBytes, type SessionBytes } from './store-bytes.js';

const WARM_UP = 20;
const WARM_UP_TURNS = 20;
const AT_ONCE = 50;
/** The SDK holds objects by weak references, which only the second collection after an answer frees. */
const SETTLE_MS = 3_000;

export interface Depth {
  turns: number;
  sessions: number;
}

export interface DepthOptions {
  redisUrl: string;
  model: ModelServer;
  depths: readonly Depth[];
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** Of one session, in bytes. */
export interface DepthCost extends SessionBytes {
  depth: Depth;
  /** The transcript's messages as JSON texts, and as a list of them in Redis. */
  json: number;
  raw: number;
  /** From attached and idle to in a turn. */
  inTurn: Growth;
}

export async function depthCosts({ redisUrl, model, depths, signal, progress }: DepthOptions): Promise<DepthCost[]> {
  const people = new People(signal);
  const opened: (() => unknown)[] = [];
  try {
    const server = await startMeasuredEngine(
      {
        agents: { threads: 1, spare: false },
        limits: { maxSocketsPerUser: 1_000, idleTimeoutMs: 960_000 },
        sandbox: { driver: 'process' },
      },
      { REDIS_URL: redisUrl, DOCKER_HOST: '', ANTHROPIC_API_KEY: 'bench', ANTHROPIC_BASE_URL: model.url },
    );
    opened.push(() => server.stop());
    const redis = await RedisBytes.open(redisUrl);
    opened.push(() => redis.close());
    const cost = async (depth: Depth): Promise<DepthCost> => {
      const who = await people.attach(server.wsUrl, depth.sessions);
      await people.each(who, AT_ONCE, async (person, index) => {
        for (let turn = 0; turn < depth.turns; turn++) {
          await person.say(said(index * depth.turns + turn), 'turn:end');
        }
      });
      await server.memory(signal);
      await pause(SETTLE_MS, undefined, { signal });
      // Before Redis is read: the collection takes longer than the store's sealing in the background.
      const probe = new Probe(server, signal);
      const inTurn = await probe.during(() =>
        people.each(who, AT_ONCE, (person) => person.say(SAY.hold, 'text:delta')),
      );
      await people.each(who, AT_ONCE, (person) => person.cancel());
      const bytes = { history: 0, events: 0, row: 0, json: 0, raw: 0 };
      for (const { session } of who) {
        const answer = await fetch(`${server.engine.url}/v1/sessions/${session}/history`, { signal });
        const { transcript } = (await answer.json()) as { transcript: unknown[] };
        const found = {
          ...(await redis.ofSession(session)),
          json: transcript.reduce<number>((total, message) => total + Buffer.byteLength(JSON.stringify(message)), 0),
          raw: await redis.asRawList(transcript),
        };
        for (const key of Object.keys(bytes) as (keyof typeof bytes)[]) bytes[key] += found[key] / who.length;
      }
      await people.each(who, AT_ONCE, (person) => person.close());
      return { depth, ...bytes, inTurn: share(inTurn, who.length) };
    };
    progress('warming up');
    await cost({ turns: WARM_UP_TURNS, sessions: WARM_UP });
    const costs: DepthCost[] = [];
    for (const depth of depths) {
      progress(`${depth.sessions} sessions take ${depth.turns} turns`);
      costs.push(await cost(depth));
    }
    return costs;
  } finally {
    people.cut();
    for (const close of opened.toReversed()) await close();
  }
}
