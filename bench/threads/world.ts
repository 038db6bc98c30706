/** The parts of the bench: a server with its Redis for each number of agent threads; the model, the users, the bad session. */
import { createHash } from 'node:crypto';
import { dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { startRedis } from '../../test/helpers/redis.js';
import { asService, sandboxSlice, type Service } from '../suite/service.js';
import { ContractChild } from './child.js';
import { BAD, PEOPLE } from './users.js';
import type { BadContract, Contract, ModelContract, PeopleContract } from './messages.js';

const MAX_SOCKETS = 1_000;

export interface Server {
  threads: number;
  engine: Engine;
  redisPid: number;
  weight: number | undefined;
}

export interface World {
  /** By number of agent threads, the fewest first. */
  servers: Server[];
  model: ContractChild<ModelContract>;
  people: ContractChild<PeopleContract>;
  bad: ContractChild<BadContract>;
  /** The CPUWeight of the servers' cgroups; undefined where none can be made. */
  weight: number | undefined;
  /** Why there is no weight. */
  doubts: string[];
}

/** Closes in reverse order what was opened. */
export class Opened {
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Always waits for the opening, since a half-open part cannot be closed; then throws if the bench must end. */
  async open<T>(opening: T | Promise<T>, close: (what: T) => Promise<unknown>): Promise<T> {
    const what = await opening;
    this.#closers.push(() => close(what));
    this.#signal.throwIfAborted();
    return what;
  }

  /** Closes all parts, and throws a failure at the end. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not all could be closed');
  }
}

export async function openWorld(threadCounts: readonly number[], opened: Opened): Promise<World> {
  const startChild = <C extends Contract>(name: string, file: string): Promise<ContractChild<C>> =>
    opened.open(new ContractChild<C>(name, new URL(file, import.meta.url)), (child) => child.stop());
  const model = await startChild<ModelContract>('the model', 'model-main.js');
  const people = await startChild<PeopleContract>('the people', 'people-main.js');
  const bad = await startChild<BadContract>('the bad one', 'bad-main.js');
  const { url } = await model.ask('open', null);
  const starting = threadCounts.map((threads) => startServer({ threads, modelUrl: url }, opened));
  // A part that still starts when another one fails must be open before everything is closed.
  await Promise.allSettled(starting);
  const servers = await Promise.all(starting);
  const { weight } = servers[0] ?? {};
  const doubts: string[] = [];
  if (weight === undefined) {
    doubts.push('the server had no cgroup with the weight of its systemd unit, so sandboxes took more from it');
  }
  return { servers, model, people, bad, weight, doubts };
}

async function startServer(
  { threads, modelUrl }: { threads: number; modelUrl: string },
  opened: Opened,
): Promise<Server> {
  const redis = await opened.open(startRedis(), (what) => what.stop());
  const slice = await opened.open(sandboxSlice(String(redis.pid)), async (what) => what?.release());
  const starting = startEngine({
    env: {
      REDIS_URL: redis.url,
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: modelUrl,
    },
    config: {
      // Two users: the bad session and its neighbours must not share a user's limits.
      auth: { tokens: [PEOPLE, ...BAD].map((user) => ({ user, sha256: sha256(user) })) },
      agents: { threads },
      limits: { maxSocketsPerUser: MAX_SOCKETS, maxReadsPerSecond: 0 },
      approvals: { default: 'allow' },
      ...(slice && { sandbox: { pool: { min: 0 }, cgroupParent: slice.parent } }),
    },
  });
  let service: Service | undefined;
  // The cgroup is removed after the process.
  await opened.open(undefined, async () => service?.release());
  const engine = await opened.open(starting, (what) => what.stop());
  service = await asService(engine.pid, 'server');
  return { threads, engine, redisPid: redis.pid, weight: service?.weight };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
