/** The alternatives: a list of JSON, lists of compressed blocks, and values that each turn rewrites. */
import { gunzipSync, gzipSync } from 'node:zlib';
import { RESP_TYPES } from 'redis';
import { decodeBlock, encodeBlock } from '../../workers/agent/store/history-codec.js';
import type { TranscriptMessage } from '../../workers/agent/store/store.js';
import type { RedisClient } from './redis-server.js';
import type { Turn } from './transcript.js';
import type { Way } from './way.js';

const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
/** Commands in the client's queue while a session is prepared. */
const PIPELINED = 200;

type Step = readonly TranscriptMessage[];

/** How a step becomes elements of the list, and an element messages. */
interface ListFormat {
  name: string;
  pack: (step: Step) => (string | Buffer)[];
  unpack: (element: Buffer) => TranscriptMessage[];
}

interface ValueFormat {
  name: string;
  pack: (messages: Step) => string | Buffer;
  unpack: (value: Buffer) => TranscriptMessage[];
}

const LISTS: readonly ListFormat[] = [
  {
    name: 'a list of JSON messages',
    pack: (step) => step.map((message) => JSON.stringify(message)),
    unpack: (element) => [JSON.parse(element.toString('utf8')) as TranscriptMessage],
  },
  {
    name: 'a list of gzip blocks',
    pack: (step) => [gzipSync(JSON.stringify(step))],
    unpack: (element) => JSON.parse(gunzipSync(element).toString('utf8')) as TranscriptMessage[],
  },
  {
    name: 'a list of lz4 blocks, never sealed',
    pack: (step) => [encodeBlock(step)],
    unpack: decodeBlock,
  },
];

const VALUES: readonly ValueFormat[] = [
  {
    name: 'whole JSON, rewritten',
    pack: (messages) => JSON.stringify(messages),
    unpack: (value) => JSON.parse(value.toString('utf8')) as TranscriptMessage[],
  },
  {
    name: 'whole gzip, rewritten',
    pack: (messages) => gzipSync(JSON.stringify(messages)),
    unpack: (value) => JSON.parse(gunzipSync(value).toString('utf8')) as TranscriptMessage[],
  },
];

export function otherWays(client: RedisClient): Way[] {
  return [...LISTS.map((format) => listWay(client, format)), ...VALUES.map((format) => valueWay(client, format))];
}

/** One RPUSH for each step, since each must be stored before the turn goes on. */
function listWay(client: RedisClient, { name, pack, unpack }: ListFormat): Way {
  const keyOf = (session: string): string => `${name}:${session}`;
  const push = (session: string, step: Step): Promise<unknown> =>
    client.sendCommand(['RPUSH', keyOf(session), ...pack(step)]);
  return {
    name,
    rewrites: false,
    prepare: async (session, turns) => {
      const steps = turns.flat();
      for (let first = 0; first < steps.length; first += PIPELINED) {
        await Promise.all(steps.slice(first, first + PIPELINED).map((step) => push(session, step)));
      }
    },
    append: async (session, turn) => {
      for (const step of turn) await push(session, step);
    },
    settle: async () => false,
    load: async (session) => {
      const elements = await client.sendCommand<Buffer[]>(['LRANGE', keyOf(session), '0', '-1'], BINARY);
      return elements.flatMap(unpack);
    },
    keys: keyOf,
  };
}

/** The whole transcript is in memory, and a turn is one SET: the best case of this way. */
function valueWay(client: RedisClient, { name, pack, unpack }: ValueFormat): Way {
  const transcripts = new Map<string, TranscriptMessage[]>();
  const keyOf = (session: string): string => `${name}:${session}`;
  const write = async (session: string, turns: readonly Turn[]): Promise<void> => {
    const transcript = transcripts.get(session) ?? [];
    for (const step of turns.flat()) transcript.push(...step);
    transcripts.set(session, transcript);
    await client.sendCommand(['SET', keyOf(session), pack(transcript)]);
  };
  return {
    name,
    rewrites: true,
    prepare: write,
    append: (session, turn) => write(session, [turn]),
    settle: async () => false,
    load: async (session) => {
      const value = await client.sendCommand<Buffer | null>(['GET', keyOf(session)], BINARY);
      if (value === null) throw new Error(`${name}: there is no session ${session}`);
      return unpack(value);
    },
    keys: keyOf,
  };
}
