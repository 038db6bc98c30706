/** The real parts of a chaos run, and the faults that can be done to them. Runs in tests. */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerInfo } from 'dockerode';
import { docker, listContainers } from '../helpers/docker.js';
import { startEngine, type Engine, type LogLine } from '../helpers/engine.js';
import { startModelServer, type ModelServer, type Reply } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { until } from '../helpers/until.js';
import { startChaosDockerd, type ChaosDockerd } from './dockerd.js';
import { readMetrics } from './metrics.js';
import { OVERLOADED, replyTo } from './model-script.js';
import { askPreload, tellPreload } from './preload-client.js';
import { pick } from './random.js';
import { makeChaosTools } from './tools.js';

/** `a` suffers the faults; `b`, where a plan has it, takes sessions over. */
export type ServerName = 'a' | 'b';

export const AGENT_THREADS = 2;
const WARNING = 40;
const PAUSE_MS = 1_500;
/** A thread that dies while it starts is noticed only when its start times out. */
const THREAD_MS = 60_000;
const READY_MS = 60_000;
const FOUND_MS = 30_000;
const AGAIN_MS = 300;
const CUT_AFTER = 3;

/** Below the kernel's range for outgoing connections: a client that reconnects too early must not be given the server's port. */
const PORTS = { from: 15_000, to: 30_000 };

const CONFIG = {
  agents: { threads: AGENT_THREADS },
  limits: { maxSocketsPerUser: 10_000, maxReadsPerSecond: 0 },
  store: { timeoutMs: 4_000, eventLog: { maxEvents: 1_000_000, maxBytes: 1_000_000_000 } },
};
const APPROVALS = {
  default: 'allow',
  rules: ['careful', 'read'].map((tool) => ({ tool, action: 'ask' })),
};
const SANDBOX = { memoryMb: 96, workspaceMb: 16, tmpMb: 4, shmMb: 4, pids: 64, toolTimeoutMs: 40_000 };

/** What a plan wants of its servers. */
export interface WorldOptions {
  /** Section by section, over what all plans have in common. */
  config: Record<'listen' | 'sandbox', object> & Partial<Record<'agents' | 'approvals', object>>;
  /** The warm pool of each server. */
  pools: { a: object; b?: object };
  /** Containers outlive the daemon. */
  liveRestore?: boolean;
  /** Told of each part as soon as it is there. */
  onTeardown: (end: () => Promise<unknown>) => void;
}

export class World {
  readonly dockerd: ChaosDockerd;
  readonly redis: TestRedis;
  readonly model: ModelServer;
  readonly servers: ReadonlyMap<ServerName, Engine>;
  /** Containers that were ended from outside. */
  readonly harmed = new Set<string>();
  /** Rises with each fault that may cost every session its files. */
  harm = 0;
  /** Rises when server `a` or its docker thread dies, and again when it is back: a call that runs then may cost its session the sandbox. */
  deaths = 0;
  /** Rises when the sockets of server `a` go. */
  epoch = 0;
  readonly #folder: string;
  /** What earlier lives of server `a` logged: warnings and worse, and whose each sandbox was. */
  readonly #past: LogLine[] = [];
  /** Failures that the model's next answers have, next first. */
  readonly #badReplies: ((reply: Reply) => Reply)[] = [];
  #serving: Promise<void> = Promise.resolve();
  #answering: Promise<void> = Promise.resolve();
  #blows: Promise<unknown> = Promise.resolve();

  private constructor(parts: Pick<World, 'dockerd' | 'redis' | 'model' | 'servers'>, folder: string) {
    this.dockerd = parts.dockerd;
    this.redis = parts.redis;
    this.model = parts.model;
    this.servers = parts.servers;
    this.#folder = folder;
    this.model.script(({ body }) => {
      const reply = replyTo(body);
      return this.#badReplies.shift()?.(reply) ?? reply;
    });
  }

  /** Sets DOCKER_HOST, by which helpers find the daemon. */
  static async start({ config, pools, liveRestore = false, onTeardown }: WorldOptions): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'fl-chaos-'));
    onTeardown(() => rm(folder, { recursive: true, force: true }));
    const dockerd = await startChaosDockerd({ liveRestore });
    onTeardown(() => dockerd.stop());
    process.env['DOCKER_HOST'] = dockerd.host;
    const [image, redis, model] = await Promise.all([
      makeChaosTools(),
      // Not everysec: while a sync is under way Redis delays writes that it has confirmed, and kill -9 loses them.
      startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
      startModelServer({ keep: 0 }),
    ]);
    onTeardown(() => redis.stop());
    onTeardown(() => model.close());
    const servers = new Map<ServerName, Engine>();
    for (const [name, pool] of Object.entries(pools) as [ServerName, object][]) {
      const engine = await startEngine({
        config: {
          ...CONFIG,
          listen: config.listen,
          agents: { ...CONFIG.agents, ...config.agents },
          approvals: { ...APPROVALS, ...config.approvals },
          sandbox: { ...SANDBOX, ...config.sandbox, pool },
          mcpServers: { box: { image: image.tag } },
        },
        env: {
          REDIS_URL: redis.url,
          DOCKER_HOST: dockerd.host,
          ANTHROPIC_API_KEY: 'sk-test-key',
          ANTHROPIC_BASE_URL: model.url,
          PORT: String(await fixedPort()),
          CHAOS_SOCKET: join(folder, `${name}.sock`),
          NODE_OPTIONS: `--import=${new URL('preload.js', import.meta.url).href}`,
        },
      });
      onTeardown(() => engine.stop());
      servers.set(name, engine);
    }
    return new World({ dockerd, redis, model, servers }, folder);
  }

  server(name: ServerName): Engine {
    const engine = this.servers.get(name);
    if (!engine) throw new Error(`this run has no server ${name}`);
    return engine;
  }

  /** The server that suffers the faults. */
  get engine(): Engine {
    return this.server('a');
  }

  /** Everything that the servers have logged, as far as it is kept. */
  get logs(): readonly LogLine[] {
    return [...this.#past, ...[...this.servers.values()].flatMap(({ logs }) => logs)];
  }

  /** The sandboxes that log lines name for a session, oldest first; with `msg`, those lines alone. */
  sandboxesOf(session: string, msg?: string): string[] {
    return this.logs.flatMap((line) => {
      const { sandbox } = line;
      const counts = line['session'] === session && (msg === undefined || line.msg === msg);
      return counts && typeof sandbox === 'string' ? [sandbox] : [];
    });
  }

  /** Shown with CHAOS_TRACE=1. */
  note(line: string): void {
    if (process.env['CHAOS_TRACE']) console.error(`${(performance.now() / 1_000).toFixed(2)} ${line}`);
  }

  /** Resolves with server `a` while it serves. */
  async up(): Promise<Engine> {
    await this.#serving;
    return this.engine;
  }

  /** Resolves when the server says that it is ready, and has as many warm sandboxes at least. */
  async ready(name: ServerName = 'a', warm = 0): Promise<void> {
    let said = '';
    const ready = async (): Promise<boolean> => {
      if (name === 'a') await this.up();
      const { url } = this.server(name);
      try {
        const answer = await fetch(`${url}/readyz`);
        said = await answer.text();
        return answer.ok && (warm === 0 || (await readMetrics(url))('fairlead_sandboxes', 'state="warm"') >= warm);
      } catch (error) {
        said = `it does not answer: ${String((error as Error).cause)}`;
        return false;
      }
    };
    await until(`server ${name} is ready`, ready, { timeoutMs: READY_MS, tell: () => said });
  }

  /** Resolves when one more session has hibernated, if any holds a sandbox. */
  async hibernation(): Promise<void> {
    const count = (): number => this.logs.filter(({ msg }) => msg === 'sandbox hibernated').length;
    const before = count();
    const hibernated = async (): Promise<boolean> => {
      if (count() > before) return true;
      await this.ready();
      return !(await this.containers()).some(({ Names }) => Names[0]?.includes('.'));
    };
    await until('a session has hibernated', hibernated, { timeoutMs: READY_MS });
  }

  /** Those of all servers; waits while dockerd is away. */
  async containers(): Promise<ContainerInfo[]> {
    await this.#answering;
    return listContainers(['fairlead.instance']);
  }

  /** What keeps the loops of server `a`'s threads alive: `agent 0: Timeout 3`. */
  async loopResources(): Promise<string[]> {
    return JSON.parse(await askPreload(this.#socketOf('a'), 'resources')) as string[];
  }

  /** The model's next answer breaks off in the middle. */
  cutModel(): void {
    this.#badReplies.push((reply) => ({ ...reply, cutAfter: CUT_AFTER }));
  }

  overloadModel(times: number): void {
    for (let i = 0; i < times; i++) this.#badReplies.push(() => OVERLOADED);
  }

  /** Reconciliation, which otherwise runs once a minute, runs now. */
  async reconcile(): Promise<void> {
    await this.up();
    await tellPreload(this.#socketOf('a'), 'reconcile');
  }

  /** In one of the server's threads: `die docker`, `die agent 0`, `hang agent 1`. Resolves when the server has noticed. */
  strikeThread(command: string): Promise<void> {
    const isDocker = command.includes('docker');
    const said = isDocker ? /^docker thread: died/ : /^agent thread (ended|hangs|could not start)/;
    return this.#blow(command, async () => {
      const count = (): number => this.engine.logs.filter(({ msg }) => said.test(msg)).length;
      const before = count();
      if (isDocker) this.deaths++;
      // Repeated until it is heard: the thread may be on its way up.
      const tell = (): Promise<void> => tellPreload(this.#socketOf('a'), command);
      const again = setInterval(() => void tell().catch(() => undefined), AGAIN_MS);
      try {
        await tell();
        await this.engine.waitForLog(() => count() > before, THREAD_MS);
      } finally {
        clearInterval(again);
        if (isDocker) this.deaths++;
      }
    });
  }

  killServer(): Promise<void> {
    return this.#blow('server kill -9', async () => {
      this.deaths++;
      await this.#whileAway(async () => {
        this.engine.signal('SIGKILL');
        await this.engine.exited;
      });
      this.deaths++;
    });
  }

  /** Files and no container outlive an orderly stop, unless the server says that it could not save them. */
  stopServer(): Promise<void> {
    return this.#blow('server SIGTERM', async () => {
      const instance = await this.engine.instance();
      let code: number | null = null;
      let left: string[] = [];
      await this.#whileAway(async () => {
        this.engine.signal('SIGTERM');
        ({ code } = await this.engine.exited);
        const unsaved = this.engine.logs.some((line) => line.msg === 'sandboxes hibernated' && line['failed'] !== 0);
        if (unsaved) this.harm++;
        const stays = this.engine.logs.filter(({ msg }) => msg === 'a workspace is not saved: its sandbox stays');
        const kept = new Set(stays.map(({ sandbox }) => sandbox));
        left = (await this.containers())
          .filter(({ Labels, Id }) => Labels['fairlead.instance'] === instance && !kept.has(Id))
          .map(({ Names, State }) => `${Names[0]} ${State}`);
      });
      if (code !== 0) throw new Error(`the server ended with ${code} after SIGTERM`);
      if (left.length > 0) throw new Error(`containers outlive an orderly stop: ${left.join()}`);
    });
  }

  restartRedis(): Promise<void> {
    return this.#blow('redis restart', () => this.redis.restart());
  }

  pauseRedis(): Promise<void> {
    return this.#blow('redis pause', async () => {
      this.redis.pause();
      await delay(PAUSE_MS);
      this.redis.resume();
    });
  }

  killRedis(): Promise<void> {
    return this.#blow('redis kill -9', async () => {
      await this.redis.kill();
      await this.redis.restart();
    });
  }

  restartDockerd(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    return this.#blow(`dockerd ${signal}`, async () => {
      const back = deferred<void>();
      this.#answering = back.promise;
      this.harm++;
      try {
        await this.dockerd.restart(signal);
      } finally {
        this.harm++;
        back.resolve();
      }
    });
  }

  /** The host's power fails: everything dies at once, and starts again. */
  powerOff(): Promise<void> {
    return this.#blow('power', async () => {
      const back = deferred<void>();
      this.#answering = back.promise;
      try {
        await this.#whileAway(async () => {
          this.engine.signal('SIGKILL');
          await Promise.all([this.engine.exited, this.redis.kill(), this.dockerd.powerOff()]);
          await this.redis.restart();
        });
      } finally {
        back.resolve();
      }
    });
  }

  /** Strikes a running container, warm or leased; waits for one where there is none. Resolves with its id. */
  async strikeContainer(what: 'kill' | 'pause' | 'remove', draw: number): Promise<string> {
    let struck = '';
    const found = async (): Promise<boolean> => {
      try {
        const running = (await this.containers()).filter(({ State }) => State === 'running');
        const target = pick(running, draw);
        if (!target) return false;
        if (what !== 'pause') this.harmed.add(target.Id);
        const container = docker().getContainer(target.Id);
        await (what === 'remove' ? container.remove({ force: true }) : container[what]());
        this.note(`${what} ${target.Names[0]} ${target.Id.slice(0, 12)}`);
        struck = target.Id;
        return true;
      } catch {
        return false; // the container, or Docker, went away in the same moment: another one then
      }
    };
    await until(`there is a container to ${what}`, found, { timeoutMs: FOUND_MS });
    return struck;
  }

  #socketOf(name: ServerName): string {
    return join(this.#folder, `${name}.sock`);
  }

  /** `work` ends server `a`; then it starts again on its port. */
  async #whileAway(work: () => Promise<void>): Promise<void> {
    const back = deferred<void>();
    this.#serving = back.promise;
    this.epoch++;
    try {
      await work();
      const kept = this.engine.logs.filter(
        ({ level, msg, sandbox }) =>
          level >= WARNING || level === 0 || typeof sandbox === 'string' || /hibernated|removed/.test(msg),
      );
      this.#past.push(...kept);
      await this.engine.start();
    } finally {
      back.resolve();
    }
  }

  /** One at a time: a server does not start without its Redis and its Docker. A failure is told to the caller alone. */
  #blow(name: string, strike: () => Promise<void>): Promise<void> {
    const blow = this.#blows.then(() => this.#strike(name, strike));
    this.#blows = blow.catch(() => undefined);
    return blow;
  }

  async #strike(name: string, strike: () => Promise<void>): Promise<void> {
    this.note(`▼ ${name}`);
    await strike();
    this.note(`▲ ${name}`);
  }
}

/** Free now, and not one that a client could be given meanwhile. */
async function fixedPort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
}
