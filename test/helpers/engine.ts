/** Runs the built program as an operator would: its own process, a temp data folder, a config file, port 0, JSON logs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { docker, listContainers } from './docker.js';
import { eachLine, stopChild, watchExit, within, type Exit } from './processes.js';
import { METRICS } from './metrics.js';

/** dist/src/cli.js, seen from dist/test/helpers. */
export const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

const START_MS = 60_000;
const STOP_MS = 40_000;
const WAIT_MS = 30_000;
const MAX_LOGS = 20_000;
/** What the surroundings must not decide for a test. DOCKER_HOST stays: the test command sets it. */
const NOT_INHERITED = /^(FAIRLEAD_|ANTHROPIC_|REDIS_URL$|PORT$|HOST$|LOG_LEVEL$|NODE_OPTIONS$)/;

/** One line of the program: pino's fields, or `{ level: 0, msg }` for a line that is no JSON. */
export interface LogLine {
  level: number;
  msg: string;
  [key: string]: unknown;
}

export interface EngineOptions {
  /** Merged, key by key, onto a free port and an empty shelf. */
  config?: Record<string, unknown>;
  env?: Record<string, string>;
  /** After `serve`. */
  args?: string[];
  /** What runs `serve`, when it is not this checkout: a program and its first arguments. */
  program?: readonly [string, ...string[]];
  startTimeoutMs?: number;
}

/** The program ended before it listened. */
export class EngineStartError extends Error {
  readonly exit: Exit;
  readonly logs: LogLine[];

  constructor(exit: Exit, logs: LogLine[]) {
    const last = logs.slice(-20).map((line) => JSON.stringify(line));
    super(`the engine ended with ${exit.code ?? exit.signal} before it listened:\n${last.join('\n')}`);
    this.exit = exit;
    this.logs = logs;
  }
}

/** Resolves when it listens. Rejects with EngineStartError when it ends before. */
export async function startEngine(options: EngineOptions = {}): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-engine-'));
  const engine = new Engine(folder, options);
  try {
    await engine.start();
  } catch (error) {
    await engine.stop();
    throw error;
  }
  return engine;
}

export class Engine {
  readonly dataDir: string;
  readonly configPath: string;
  /** Since the last start, bounded: the oldest are dropped. */
  readonly logs: LogLine[] = [];
  url = '';
  exited: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  readonly #folder: string;
  readonly #options: EngineOptions;
  readonly #watchers = new Set<() => void>();
  #child: ChildProcess | undefined;

  constructor(folder: string, options: EngineOptions) {
    this.#folder = folder;
    this.#options = options;
    this.dataDir = join(folder, 'data');
    this.configPath = join(folder, 'fairlead.json');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get wsUrl(): string {
    return `${this.url.replace(/^http/, 'ws')}/v1/ws`;
  }

  async start(env: Record<string, string> = {}): Promise<void> {
    // No shelf but what demand asks for: a test that wants one says so.
    const given = this.#options.config ?? {};
    const base = {
      listen: { port: 0 },
      metrics: METRICS,
      sandbox: { pool: { min: 0 } },
      // One user has the sessions of a whole test.
      quotas: { default: { maxTurns: 0 } },
      // Everybody is `local`, unless the test is about tokens: `auth: {}` is the default of a real start.
      ...('auth' in given ? {} : { auth: { mode: 'none' } }),
    };
    const config = merge(base, given);
    await writeFile(this.configPath, JSON.stringify(config, null, 2));
    this.logs.length = 0;
    const [program, ...first] = this.#options.program ?? [process.execPath, CLI];
    const child = spawn(program, [...first, 'serve', ...(this.#options.args ?? [])], {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...inherited(),
        FAIRLEAD_CONFIG: this.configPath,
        FAIRLEAD_DATA: this.dataDir,
        LOG_LEVEL: 'info',
        ...this.#options.env,
        ...env,
      },
    });
    this.#child = child;
    this.exited = watchExit(child);
    eachLine(child.stdout, (line) => this.#log(line));
    eachLine(child.stderr, (line) => this.#log(line));
    // `close` comes after the last line was read, `exit` may come before it.
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const gone = Promise.all([this.exited, ended]).then(([exit]): never => {
      throw new EngineStartError(exit, [...this.logs]);
    });
    gone.catch(() => undefined); // once it listens, its end is told by `exited`
    const line = await this.waitForLog(
      (line) => line.msg.startsWith('listening on http'),
      this.#options.startTimeoutMs ?? START_MS,
      gone,
    );
    this.url = String(line['url']).replace(/\/$/, '');
  }

  /** Resolves with the first line that matches, already here or yet to come; rejects early when `unless` does. */
  async waitForLog(
    matches: (line: LogLine) => boolean,
    timeoutMs = WAIT_MS,
    unless?: Promise<never>,
  ): Promise<LogLine> {
    let look: (() => void) | undefined;
    const found = new Promise<LogLine>((resolve) => {
      look = () => {
        const line = this.logs.find(matches);
        if (line) resolve(line);
      };
      this.#watchers.add(look);
      look();
    });
    try {
      return await within(unless ? Promise.race([found, unless]) : found, timeoutMs, () => {
        const last = this.logs.slice(-20).map((line) => JSON.stringify(line));
        return `no such log line in ${timeoutMs} ms; the last were:\n${last.join('\n')}`;
      });
    } finally {
      if (look) this.#watchers.delete(look);
    }
  }

  /** Asks /readyz until it answers with this status. */
  async waitForReadiness(status: 200 | 503, timeoutMs = WAIT_MS): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const answer = await fetch(`${this.url}/readyz`);
      const said = await answer.text();
      if (answer.status === status) return;
      if (performance.now() > deadline) throw new Error(`/readyz still says ${answer.status}: ${said}`);
      await delay(20);
    }
  }

  /** The name in the labels of its containers. */
  async instance(): Promise<string> {
    return (await readFile(join(this.dataDir, 'instance'), 'utf8')).trim();
  }

  /** The token that the first start has made, with `auth: {}`. */
  async token(): Promise<string> {
    return (await readFile(join(this.dataDir, 'token'), 'utf8')).trim();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends the process (`SIGKILL`: as a crash would) and starts it with the same data folder and configuration. */
  async restart(options: { signal?: 'SIGTERM' | 'SIGKILL'; samePort?: boolean } = {}): Promise<void> {
    const port = new URL(this.url).port;
    await this.#end(options.signal ?? 'SIGTERM');
    await this.start(options.samePort === true ? { PORT: port } : {});
  }

  /** SIGTERM, then SIGKILL at the deadline; removes its folders. Twice is fine. Resolves with how it ended. */
  async stop(): Promise<Exit> {
    const exit = await this.#end('SIGTERM');
    if (exit.code !== 0) await this.#removeContainers();
    await rm(this.#folder, { recursive: true, force: true });
    return exit;
  }

  /** They outlive a server that was killed, for the next one, which will not come. Docker may still be at what the dead one asked for. */
  async #removeContainers(): Promise<void> {
    const host = this.#options.env?.['DOCKER_HOST'];
    if (!host) return;
    const label = `fairlead.instance=${await this.instance().catch(() => 'none')}`;
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const left = await listContainers([label], host).catch((error: unknown) => {
        if (/ECONNREFUSED|ENOENT/.test(String(error))) return []; // no daemon, no containers
        throw error;
      });
      if (left.length === 0) return;
      const removals = left.map(({ Id }) => docker(host).getContainer(Id).remove({ force: true }));
      const refused = (await Promise.allSettled(removals)).flatMap((result) =>
        result.status === 'rejected' ? [result.reason as { statusCode?: number }] : [],
      );
      const failed = refused.find(({ statusCode }) => statusCode !== 404 && statusCode !== 409); // gone, and going
      if (failed) throw failed;
      if (performance.now() > deadline) throw new Error(`${left.length} containers of the engine are still there`);
      if (refused.length > 0) await delay(20);
    }
  }

  /** Resident memory of the process now. */
  async rssBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<Exit> {
    if (!this.#child) return await this.exited;
    if (signal === 'SIGTERM') return await stopChild(this.#child, this.exited, STOP_MS);
    this.#child.kill(signal);
    return await this.exited;
  }

  #log(line: string): void {
    this.logs.push(parseLine(line));
    if (this.logs.length > MAX_LOGS) this.logs.shift();
    for (const look of this.#watchers) look();
  }
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) {
      return { level: 0, msg: '', ...value };
    }
  } catch {
    // a line that is no JSON is kept as it is, below
  }
  return { level: 0, msg: line };
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (value !== undefined && !NOT_INHERITED.test(key)) env[key] = value;
  }
  return env;
}

function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const under = merged[key];
    merged[key] = isPlain(under) && isPlain(value) ? merge(under, value) : value;
  }
  return merged;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
