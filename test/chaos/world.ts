/** The faults that can be done to the parts of a chaos run, and what is known of them meanwhile. Runs in tests. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerInfo } from 'dockerode';
import { docker, listContainers } from '../helpers/docker.js';
import type { Engine, LogLine } from '../helpers/engine.js';
import type { ModelServer, Reply } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import type { TestRedis } from '../helpers/redis.js';
import { until } from '../helpers/until.js';
import type { ChaosDockerd } from './dockerd.js';
import { readMetrics } from './metrics.js';
import { OVERLOADED, replyTo } from './model-script.js';
import { startParts, type ServerName, type WorldOptions, type WorldParts } from './parts.js';
import { askPreload, tellPreload } from './preload-client.js';
import { pick } from './random.js';

const WARNING = 40;
const PAUSE_MS = 1_500;
/** A thread that dies while it starts is noticed only when its start times out. */
const THREAD_MS = 60_000;
const READY_MS = 60_000;
const FOUND_MS = 30_000;
const AGAIN_MS = 300;
const CUT_AFTER = 3;

/** The server, one of its threads or a part that it needs is away. */
export interface Outage {
  /** ms since the epoch. */
  from: number;
  /** It is started again, and may not serve yet. Infinity: not yet. */
  to: number;
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
  readonly #outages: Outage[] = [];
  readonly #folder: string;
  /** What earlier lives of server `a` logged: warnings and worse, and whose each sandbox was. */
  readonly #past: LogLine[] = [];
  /** Failures that the model's next answers have, next first. */
  readonly #badReplies: ((reply: Reply) => Reply)[] = [];
  #serving: Promise<void> = Promise.resolve();
  #answering: Promise<void> = Promise.resolve();
  #blows: Promise<unknown> = Promise.resolve();

  private constructor({ dockerd, redis, model, servers, folder }: WorldParts) {
    this.dockerd = dockerd;
    this.redis = redis;
    this.model = model;
    this.servers = servers;
    this.#folder = folder;
    this.model.script(({ body }) => {
      const reply = replyTo(body);
      return this.#badReplies.shift()?.(reply) ?? reply;
    });
  }

  /** Sets DOCKER_HOST, by which helpers find the daemon. */
  static async start(options: WorldOptions): Promise<World> {
    return new World(await startParts(options));
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

  /** When something was away that calls and saves need, in the order in which it began. */
  get outages(): readonly Readonly<Outage>[] {
    return this.#outages;
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
    const outage = { from: Date.now(), to: Infinity };
    this.#outages.push(outage);
    try {
      await strike();
    } finally {
      outage.to = Date.now();
    }
    this.note(`▲ ${name}`);
  }
}
