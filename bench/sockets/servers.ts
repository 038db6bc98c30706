/** The compared servers, each a process, and what a raw client must know of each. */
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import type { ConnectOptions } from '../load/load.js';
import { COLLECTABLE } from '../suite/collect.js';
import { startChild } from './child.js';
import { DELTA_MARK, END_MARK, fan, NAMES, PING, type EchoKind, type Kind } from './wire.js';

export interface Server {
  kind: Kind;
  name: string;
  pid: number;
  /** For sockets that send `ping` and are answered with one frame. */
  echo: Pick<ConnectOptions, 'url' | 'hello' | 'readyFrames'>;
  ping: string;
  stop(): Promise<void>;
}

export interface EchoServer extends Server {
  /** For sockets that get what `fan` asks for: deltas, then the end (marks 0 and 1). */
  fan: Pick<ConnectOptions, 'url' | 'hello' | 'readyFrames' | 'marks'>;
  fanOf(deltas: number): string;
}

export async function startEcho(kind: EchoKind): Promise<EchoServer> {
  const child = await startChild('echo-main.js', [kind]);
  const { pid, url } = child;
  const base = { kind, name: NAMES[kind], pid, stop: () => child.stop() };
  if (kind === 'socket.io') {
    // Server's open packet, client's «40» for the namespace, server's answer; then «42[event, …]» both ways.
    const target = { url: `${url}/socket.io/?EIO=4&transport=websocket`, hello: '40', readyFrames: 2 };
    return {
      ...base,
      echo: target,
      ping: `42${JSON.stringify(['message', PING])}`,
      fan: { ...target, marks: ['42["text:delta"', '42["turn:end"'] },
      fanOf: (deltas) => `42${JSON.stringify(['fan', deltas])}`,
    };
  }
  return {
    ...base,
    echo: { url: `${url}/echo` },
    ping: PING,
    fan: { url: `${url}/fan`, marks: [DELTA_MARK, END_MARK] },
    fanOf: fan,
  };
}

export interface Fairlead extends Server {
  engine: Engine;
}

/** `sockets`: how many will be open at once, all of one user. */
export async function startFairlead(options: {
  redisUrl: string;
  modelUrl: string;
  sockets: number;
}): Promise<Fairlead> {
  const { redisUrl, modelUrl, sockets } = options;
  const engine = await startEngine({
    env: {
      REDIS_URL: redisUrl,
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: modelUrl,
      NODE_OPTIONS: COLLECTABLE,
    },
    config: {
      agents: { spare: false }, // it would load during the measurement and be counted
      limits: { maxSocketsPerUser: sockets + 3_000, maxBytesPerSecond: 0, maxReadsPerSecond: 0 },
      sandbox: { driver: 'process' },
    },
  });
  return {
    kind: 'fairlead',
    name: NAMES.fairlead,
    pid: engine.pid,
    engine,
    echo: { url: engine.wsUrl },
    ping: PING,
    stop: async () => void (await engine.stop()),
  };
}

/** New sessions, by HTTP; resolves with the path of each for its sockets. */
export async function newSessions({ engine }: Fairlead, count: number): Promise<string[]> {
  const paths: string[] = [];
  for (let made = 0; made < count; made++) {
    const answer = await fetch(`${engine.url}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    if (answer.status !== 201) throw new Error(`a session was refused with ${answer.status}: ${await answer.text()}`);
    const { session } = (await answer.json()) as { session: string };
    paths.push(`/v1/ws?session=${session}`);
  }
  return paths;
}
