/** The real parts of a chaos run, and the faults that can be done to them. Runs in tests. */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContainerInfo } from 'dockerode';
import { startChaosDockerd, type ChaosDockerd } from './dockerd.js';
import { until } from '../helpers/until.js';
import { docker, listContainers } from '../helpers/docker.js';
import { startEngine, type Engine, type LogLine } from '../helpers/engine.js';
import { startModelServer, type ModelServer, type Reply } from '../helpers/model-server.js';
import { startRedis, type TestRedis } from '../helpers/redis.js';
import { OVERLOADED, replyTo } from './model-script.js';
import { pick } from './system/plan.js';
import { makeChaosTools } from './tools.js';

export type ServerName = 'a' | 'b';

export const AGENT_THREADS = 2;
export const MIN_WARM = 3;
const PAUSE_MS = 1_500;
/** One that is struck on its way up is only found out when its time to start is over. */
const THREAD_MS = 60_000;
const FOUND_MS = 30_000;
const AGAIN_MS = 300;
const CUT_AFTER = 3;

/** Below those that the kernel gives to outgoing connections: one that comes back too early must not take the server's. */
const PORTS = { from: 15_000, to: 30_000 };

const CONFIG = {
  listen: { drainTimeoutMs: 1_000 },
  agents: { threads: AGENT_THREADS, hangTimeoutMs: 2_000 },
  limits: { maxSocketsPerUser: 10_000 },
  store: { timeoutMs: 4_000, eventLog: { maxEvents: 1_000_000, maxBytes: 1_000_000_000 } },
  approvals: { default: 'allow', timeoutMs: 12_000, rules: [{ tool: 'careful', action: 'ask' }] },
  sandbox: {
    memoryMb: 64,
    workspaceMb: 16,
    pids: 64,
    hibernateAfterMs: 4_000,
    toolTimeoutMs: 40_000,
    leaseTimeoutMs: 30_000,
    startTimeoutMs: 15_000,
  },
};

export class World {
  readonly dockerd: ChaosDockerd;
  readonly redis: TestRedis;
  readonly model: ModelServer;
  readonly servers: Record<ServerName, Engine>;
  readonly folder: string;
  /** Containers that were ended from outside; '*' for all. */
  readonly harmed = new Set<string>();
  /** What earlier lives of the servers have logged: warnings and worse, and whose each sandbox was. */
  readonly #past: LogLine[] = [];
  /** Answers of the model that fail, next first. */
  readonly #badReplies: ((reply: Reply) => Reply)[] = [];
  #blows: Promise<unknown> = Promise.resolve();

  private constructor(parts: Pick<World, 'dockerd' | 'redis' | 'model' | 'servers' | 'folder'>) {
    this.dockerd = parts.dockerd;
    this.redis = parts.redis;
    this.model = parts.model;
    this.servers = parts.servers;
    this.folder = parts.folder;
    this.model.script(({ body }) => {
      const reply = replyTo(body);
      return this.#badReplies.shift()?.(reply) ?? reply;
    });
  }

  /** `onTeardown` is told of each part as soon as it is there. Sets DOCKER_HOST, by which helpers find the daemon. */
  static async start(onTeardown: (end: () => Promise<unknown>) => void): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'fl-chaos-'));
    onTeardown(() => rm(folder, { recursive: true, force: true }));
    const dockerd = await startChaosDockerd();
    onTeardown(() => dockerd.stop());
    process.env['DOCKER_HOST'] = dockerd.host;
    const [image, redis, model] = await Promise.all([
      makeChaosTools(),
      // Not everysec: while a sync is under way Redis puts writes off that it has confirmed, and kill -9 loses them.
      startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
      startModelServer({ keep: 0 }),
    ]);
    onTeardown(() => redis.stop());
    onTeardown(() => model.close());
    const start = async (name: ServerName, min: number, max: number): Promise<Engine> => {
      const pool = { min, max, maxStarting: 3, idleMs: 3_000 };
      const engine = await startEngine({
        config: { ...CONFIG, sandbox: { ...CONFIG.sandbox, pool }, mcpServers: { box: { image: image.tag } } },
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
      return engine;
    };
    const servers = { a: await start('a', MIN_WARM, 8), b: await start('b', 0, 2) };
    return new World({ dockerd, redis, model, servers, folder });
  }

  /** Everything that both servers have logged, as far as it is kept. */
  get logs(): readonly LogLine[] {
    return [...this.#past, ...this.servers.a.logs, ...this.servers.b.logs];
  }

  /** The sandboxes that a session has had. */
  sandboxesOf(session: string): string[] {
    return this.logs.flatMap((line) =>
      line['session'] === session && typeof line['sandbox'] === 'string' ? [line['sandbox']] : [],
    );
  }

  /** Its workspace may be gone for a reason that is not the server's. */
  mayHaveLost(session: string): boolean {
    return this.harmed.has('*') || this.sandboxesOf(session).some((id) => this.harmed.has(id));
  }

  /** Where the preload of that server listens. */
  socketOf(name: ServerName): string {
    return join(this.folder, `${name}.sock`);
  }

  /** Shown with CHAOS_TRACE=1. */
  note(line: string): void {
    if (process.env['CHAOS_TRACE']) console.error(`${(performance.now() / 1_000).toFixed(2)} ${line}`);
  }

  async containers(): Promise<ContainerInfo[]> {
    return listContainers(['fairlead.instance']);
  }

  /** The model's next answer breaks off in the middle. */
  cutModel(): void {
    this.#badReplies.push((reply) => ({ ...reply, cutAfter: CUT_AFTER }));
  }

  /** More often than its client tries by itself, about. */
  overloadModel(times: number): void {
    for (let i = 0; i < times; i++) this.#badReplies.push(() => OVERLOADED);
  }

  /** In one of the server's threads: `die docker`, `die agent 0`, `hang agent 1`. Resolves when it has begun to be mended. */
  strikeThread(command: string): Promise<void> {
    const said = command.includes('docker') ? /^docker thread: died/ : /^agent thread (ended|hangs|could not start)/;
    return this.#blow(command, async () => {
      const { a } = this.servers;
      const count = (): number => a.logs.filter(({ msg }) => said.test(msg)).length;
      const before = count();
      // Said again until it is heard: the thread may just be on its way up.
      const again = setInterval(() => void this.#command(command).catch(() => undefined), AGAIN_MS);
      try {
        await this.#command(command);
        await a.waitForLog(() => count() > before, THREAD_MS);
      } finally {
        clearInterval(again);
      }
    });
  }

  killServer(): Promise<void> {
    return this.#blow('server kill -9', async () => {
      this.#keepLogs();
      await this.servers.a.restart({ signal: 'SIGKILL', samePort: true });
    });
  }

  stopServer(): Promise<void> {
    return this.#blow('server SIGTERM', async () => {
      const { a } = this.servers;
      a.signal('SIGTERM');
      const { code } = await a.exited;
      this.#keepLogs();
      if (a.logs.some((line) => line.msg === 'sandboxes hibernated' && line['failed'] !== 0)) this.harmed.add('*');
      await a.restart({ samePort: true });
      if (code !== 0) throw new Error(`the server ended with ${code} after SIGTERM`);
    });
  }

  restartRedis(): Promise<void> {
    return this.#blow('redis restart', () => this.redis.restart());
  }

  pauseRedis(): Promise<void> {
    return this.#blow('redis pause', async () => {
      this.redis.pause();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
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
      this.harmed.add('*');
      await this.dockerd.restart(signal);
    });
  }

  /** One that a session holds, or that waits; where there is none just now, the next one. */
  async killContainer(draw: number): Promise<void> {
    await this.#blow('kill a container', async () => {
      const killed = async (): Promise<boolean> => {
        try {
          const target = pick(
            (await this.containers()).filter(({ State }) => State === 'running'),
            draw,
          );
          if (!target) return false;
          this.harmed.add(target.Id);
          await docker().getContainer(target.Id).kill();
          this.note(`killed ${target.Names[0]} ${target.Id.slice(0, 12)}`);
          return true;
        } catch {
          return false; // it has gone in the same moment: another one then
        }
      };
      await until('there is a container to kill', killed, { timeoutMs: FOUND_MS });
    });
  }

  #command(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.socketOf('a'), () => socket.end(line, () => resolve()));
      socket.on('error', reject);
    });
  }

  /** One at a time: a server does not start without its Redis and its Docker. */
  #blow(name: string, strike: () => Promise<void>): Promise<void> {
    const turn = this.#blows.then(() => this.#strike(name, strike));
    this.#blows = turn.catch(() => undefined); // told to who struck
    return turn;
  }

  async #strike(name: string, strike: () => Promise<void>): Promise<void> {
    this.note(`▼ ${name}`);
    await strike();
    this.note(`▲ ${name}`);
  }

  #keepLogs(): void {
    const kept = this.servers.a.logs.filter((line) => line.level >= 40 || typeof line['sandbox'] === 'string');
    this.#past.push(...kept);
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
