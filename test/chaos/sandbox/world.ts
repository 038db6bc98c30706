/** The real parts of a chaos run, and what can be done to them: a server, its dockerd, its Redis, its model. Runs in tests. */
import type { ContainerInfo } from 'dockerode';
import { listContainers } from '../../helpers/docker.js';
import { startEngine, type Engine, type LogLine } from '../../helpers/engine.js';
import {
  offeredTool,
  startModelServer,
  text,
  tool,
  type ModelServer,
  type Reply,
  type RequestBody,
} from '../../helpers/model-server.js';
import { deferred } from '../../helpers/processes.js';
import { startRedis, type TestRedis } from '../../helpers/redis.js';
import { startChaosDockerd, type ChaosDockerd } from '../dockerd.js';
import { makeChaosImage } from './image.js';
import { readMetrics } from '../metrics.js';
import { until } from '../../helpers/until.js';

export const MIN_WARM = 2;
const WARNING = 40;
const THREAD_MS = 20_000;
const READY_MS = 60_000;

export const CONFIG = {
  listen: { drainTimeoutMs: 500 },
  agents: { threads: 2 },
  limits: { maxSocketsPerUser: 1_000 },
  approvals: { default: 'allow', rules: [{ tool: 'read', action: 'ask' }] },
  sandbox: {
    memoryMb: 64,
    workspaceMb: 16,
    pids: 64,
    hibernateAfterMs: 1_000,
    toolTimeoutMs: 40_000,
    leaseTimeoutMs: 20_000,
    startTimeoutMs: 10_000,
    // A shelf that grows with what is asked for, and is at its least again soon.
    pool: { min: MIN_WARM, max: 5, maxStarting: 3, idleMs: 2_000 },
  },
};

export class World {
  readonly dockerd: ChaosDockerd;
  readonly redis: TestRedis;
  readonly model: ModelServer;
  readonly engine: Engine;
  readonly instance: string;
  /** Rises with each blow that may cost everybody's files, when it begins and when it is over. */
  harm = 0;
  /** Rises when the server's sockets go. */
  epoch = 0;
  /** Containers that were ended from outside. */
  readonly harmed = new Set<string>();
  /** What servers before this one have logged, from warnings on, and the rest that is counted. */
  readonly #past: LogLine[] = [];
  #serving: Promise<void> = Promise.resolve();
  #answering: Promise<void> = Promise.resolve();
  #blows: Promise<void> = Promise.resolve();

  private constructor(parts: Pick<World, 'dockerd' | 'redis' | 'model' | 'engine' | 'instance'>) {
    this.dockerd = parts.dockerd;
    this.redis = parts.redis;
    this.model = parts.model;
    this.engine = parts.engine;
    this.instance = parts.instance;
  }

  /** `onTeardown` is told of each part as soon as it is there. Sets DOCKER_HOST, by which helpers find the daemon. */
  static async start(onTeardown: (end: () => Promise<unknown>) => void): Promise<World> {
    const dockerd = await startChaosDockerd();
    onTeardown(() => dockerd.stop());
    process.env['DOCKER_HOST'] = dockerd.host;
    const [image, redis, model] = await Promise.all([
      makeChaosImage(),
      startRedis(),
      startModelServer({ script: ({ body }) => replyTo(body), keep: 0 }),
    ]);
    onTeardown(() => redis.stop());
    onTeardown(() => model.close());
    const engine = await startEngine({
      config: { ...CONFIG, mcpServers: { box: { image: image.tag } } },
      env: {
        REDIS_URL: redis.url,
        DOCKER_HOST: dockerd.host,
        ANTHROPIC_API_KEY: 'sk-test-key',
        ANTHROPIC_BASE_URL: model.url,
        NODE_OPTIONS: `--import=${new URL('preload.js', import.meta.url).href}`,
      },
    });
    onTeardown(() => engine.stop());
    return new World({ dockerd, redis, model, engine, instance: await engine.instance() });
  }

  /** Everything that servers have logged so far: warnings of all, the rest of leases and of hibernation. */
  get logs(): readonly LogLine[] {
    return [...this.#past, ...this.engine.logs];
  }

  /** The sandboxes that a session has had, oldest first. */
  leases(session: string): string[] {
    return this.logs.flatMap((line) =>
      line.msg === 'sandbox leased' && line['session'] === session ? [String(line['sandbox'])] : [],
    );
  }

  /** Shown with CHAOS_TRACE=1. */
  note(line: string): void {
    if (process.env['CHAOS_TRACE']) console.error(`${(performance.now() / 1_000).toFixed(2)} ${line}`);
  }

  /** Resolves with the server while it is there. */
  async up(): Promise<Engine> {
    await this.#serving;
    return this.engine;
  }

  /** Resolves when it says that people may be sent here, and a sandbox waits for one. */
  async ready(): Promise<void> {
    const ready = async (): Promise<boolean> => {
      const { url } = await this.up();
      try {
        return (await fetch(`${url}/readyz`)).ok && (await readMetrics(url))('fairlead_sandboxes', 'state="warm"') > 0;
      } catch {
        return false; // it goes away just now
      }
    };
    await until('the server is ready', ready, { timeoutMs: READY_MS });
  }

  /** Resolves when one more session has hibernated, if there is any to do so. */
  async rest(): Promise<void> {
    const hibernations = (): number => this.logs.filter(({ msg }) => msg === 'sandbox hibernated').length;
    const before = hibernations();
    const rested = async (): Promise<boolean> => {
      if (hibernations() > before) return true;
      await this.ready();
      return !(await this.containers()).some(({ Names }) => Names[0]?.includes('.'));
    };
    await until('somebody has hibernated', rested, { timeoutMs: READY_MS });
  }

  async containers(): Promise<ContainerInfo[]> {
    await this.#answering;
    return listContainers([`fairlead.instance=${this.instance}`]);
  }

  killEngine(): Promise<void> {
    return this.#blow('engine kill -9', async () => {
      const done = this.#away('serving');
      this.engine.signal('SIGKILL');
      await this.engine.exited;
      await this.#restartEngine();
      done();
    });
  }

  /** Files outlive an orderly stop, except where it says that they could not be saved. */
  async stopEngine(): Promise<void> {
    await this.#inTurn('engine SIGTERM', async () => {
      const done = this.#away('serving');
      this.engine.signal('SIGTERM');
      const { code } = await this.engine.exited;
      if (this.engine.logs.some((line) => line.msg === 'sandboxes hibernated' && line['failed'] !== 0)) this.harm++;
      const left = (await this.containers()).map(({ Names, State }) => `${Names[0]} ${State}`);
      await this.#restartEngine();
      done();
      if (code !== 0) throw new Error(`the server ended with ${code} after SIGTERM`);
      if (left.length > 0) throw new Error(`containers outlive an orderly stop: ${left.join()}`);
    });
  }

  restartDockerd(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    return this.#blow(`dockerd ${signal}`, async () => {
      const done = this.#away('answering');
      await this.dockerd.restart(signal);
      done();
    });
  }

  killDockerThread(): Promise<void> {
    return this.#blow('docker thread dies', async () => {
      const deaths = (): number => this.engine.logs.filter(({ msg }) => msg.startsWith('docker thread: died')).length;
      const before = deaths();
      this.engine.signal('SIGUSR2');
      await this.engine.waitForLog(() => deaths() > before, THREAD_MS);
    });
  }

  /** The check of each minute, now. */
  async reconcile(): Promise<void> {
    (await this.up()).signal('SIGHUP');
  }

  /** One blow at a time: a server does not start without its Docker. */
  #inTurn(name: string, strike: () => Promise<void>): Promise<void> {
    const turn = this.#blows.then(() => this.#strike(name, strike));
    this.#blows = turn.catch(() => undefined); // told to who struck
    return turn;
  }

  async #strike(name: string, strike: () => Promise<void>): Promise<void> {
    this.note(`▼ ${name}`);
    await strike();
    this.note(`▲ ${name}`);
  }

  #blow(name: string, strike: () => Promise<void>): Promise<void> {
    return this.#inTurn(name, async () => {
      this.harm++;
      await strike();
      this.harm++;
    });
  }

  #away(what: 'serving' | 'answering'): () => void {
    const back = deferred<void>();
    if (what === 'serving') {
      this.#serving = back.promise;
      this.epoch++;
    } else this.#answering = back.promise;
    return () => back.resolve();
  }

  async #restartEngine(): Promise<void> {
    const kept = this.engine.logs.filter(
      ({ level, msg }) => level >= WARNING || level === 0 || /^sandbox (leased|hibernated)|removed/.test(msg),
    );
    this.#past.push(...kept);
    await this.engine.start();
  }
}

/** Does what the last message says: `write TEXT`, `read`, `nap`; and is done when the tool has answered. */
function replyTo(body: RequestBody): Reply {
  const content = body.messages.at(-1)?.content ?? '';
  const last = typeof content === 'string' ? content : content.at(-1)?.['text'];
  const [, name, argument] = /^(write|read|nap)(?: (\S+))?$/.exec(typeof last === 'string' ? last : '') ?? [];
  const offered = name === undefined ? undefined : offeredTool(body, name);
  if (offered === undefined) return text('done');
  return tool(offered, argument === undefined ? {} : { text: argument });
}
