/** A docker thread that dies as often as a test wants, with sandboxes that outlive it, and tools called in them. Runs in tests. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import type { FairleadError } from '../../../../src/shared/errors.js';
import { createLog } from '../../../../src/shared/log.js';
import { openDockerPool, type DockerPool, type DockerPoolOptions } from '../../../../src/threads/docker-pool.js';
import type { LeaseResult } from '../../../../workers/docker/contract/messages.js';
import { containersOf, docker, dockerHost, WORKSPACE_IMAGE, type Container } from '../../../helpers/docker.js';
import { deferred, eachLine, watchExit } from '../../../helpers/processes.js';
import { SandboxPort } from '../../../helpers/sandbox-port.js';

const WAIT_MS = 60_000;
const LOOK_MS = 50;
const HOLDER = fileURLToPath(new URL('adoption-holder.js', import.meta.url));

export interface Leased extends LeaseResult {
  port: SandboxPort;
  /** Name of its container at its start. */
  name: string;
  /** Runs a shell command in it; resolves with the output. */
  run(command: string): Promise<string>;
}

type Teardown = Pick<Test, 'teardown'>;

export interface WorldOptions {
  image?: string;
  host?: string;
  sandbox?: Record<string, unknown>;
}

/** One data folder and one instance, for one thread after another. */
export class AdoptionWorld {
  readonly instance: string;
  readonly dataDir: string;
  readonly #t: Teardown;
  #lost = deferred<FairleadError>();
  readonly #missing = new Set<string>();

  constructor(t: Teardown, dataDir: string, instance: string = randomUUID()) {
    this.#t = t;
    this.dataDir = dataDir;
    this.instance = instance;
  }

  static async make(t: Test): Promise<AdoptionWorld> {
    const dataDir = await mkdtemp(join(tmpdir(), 'fl-adopt-'));
    t.teardown(() => rm(dataDir, { recursive: true, force: true }));
    return new AdoptionWorld(t, dataDir);
  }

  /** Starts a thread. Existing sandboxes are those of an earlier run. */
  open(
    { image = WORKSPACE_IMAGE, host = dockerHost(), sandbox = {} }: WorldOptions = {},
    more: Partial<DockerPoolOptions> = {},
  ): DockerPool {
    const settings = {
      workspaceMb: 16,
      memoryMb: 256,
      ...sandbox,
      pool: { min: 0, max: 0, ...(sandbox['pool'] as object) },
    };
    const config = parseConfig(
      { sandbox: settings, mcpServers: { workspace: { image } } },
      { DOCKER_HOST: host, FAIRLEAD_DATA: this.dataDir, LOG_LEVEL: process.env['TEST_LOG'] ?? 'silent' },
    );
    const pool = openDockerPool({
      config,
      instance: this.instance,
      driver: 'docker',
      log: createLog('test', 'silent'),
      missingSessions: async (sessions) => ({ missing: sessions.filter((session) => this.#missing.has(session)) }),
      onWorkerLost: (error) => this.#lost.resolve(error),
      ...more,
    });
    this.#t.teardown(() => pool.close());
    return pool;
  }

  /** From now on the store does not have this session. */
  forget(session: string): void {
    this.#missing.add(session);
  }

  async lease(pool: DockerPool, session: string): Promise<Leased> {
    const port = new SandboxPort();
    this.#t.teardown(() => port.close());
    const lease = await pool.run('lease-sandbox', { session, server: 'workspace', port: port.far }, [port.far]);
    const { Name } = await docker().getContainer(lease.sandbox).inspect();
    return { ...lease, port, name: Name.replaceAll(/^\/|\..*$/g, ''), run: (command) => runCommand(port, command) };
  }

  /** The thread dies as in a crash, without any clean-up. */
  async kill(held: Leased): Promise<void> {
    this.#lost = deferred<FairleadError>();
    held.port.near.postMessage({ type: 'stdin', data: 1 }); // what no agent thread sends
    await this.#lost.promise;
    await held.port.closed();
  }

  containers(): Promise<Container[]> {
    return containersOf(`fairlead.instance=${this.instance}`);
  }

  /** Polls, since the state is Docker's or another thread's. */
  async until(what: string, holds: (containers: Container[]) => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const containers = await this.containers();
      if (await holds(containers)) return;
      if (performance.now() > deadline) throw new Error(`${what}: not so; there is ${JSON.stringify(containers)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async records(): Promise<string[]> {
    return readdir(join(this.dataDir, 'leases'));
  }

  async archives(): Promise<string[]> {
    return readdir(join(this.dataDir, 'workspaces'));
  }
}

/** How many sandboxes are in this state, by the thread's metrics. */
export async function count(pool: DockerPool, state: string): Promise<number> {
  const { metrics } = await pool.run('collect-metrics', {});
  const all = metrics as { name: string; values: { labels: Record<string, string>; value: number }[] }[];
  const values = all.find(({ name }) => name === 'fairlead_sandboxes')?.values ?? [];
  return values.filter(({ labels }) => labels['state'] === state).reduce((sum, { value }) => sum + value, 0);
}

let calls = 0;

async function runCommand(port: SandboxPort, command: string): Promise<string> {
  const id = `t-${++calls}`;
  const params = { name: 'run_command', arguments: { command } };
  port.write(`${JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params })}\n`);
  const answer = (): string | undefined => port.text.split('\n').find((line) => line.includes(`"id":"${id}"`));
  await port.until(() => answer() !== undefined);
  const { result } = JSON.parse(answer() ?? '') as { result: { content: { text: string }[] } };
  return result.content.map(({ text }) => text).join('');
}

/** A process to be killed, with a leased sandbox that has a file and a background process, and a warm one. */
export async function holdInProcess(
  t: Test,
  world: AdoptionWorld,
): Promise<{ child: ChildProcess; exited: Promise<unknown>; sandbox: string }> {
  const args = [HOLDER, world.dataDir, world.instance];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = watchExit(child);
  t.teardown(() => child.kill('SIGKILL'));
  const sandbox = deferred<string>();
  eachLine(child.stdout, (line) => sandbox.resolve(line));
  const ended = exited.then((exit) => Promise.reject(new Error(`it has ended: ${JSON.stringify(exit)}`)));
  return { child, exited, sandbox: await Promise.race([sandbox.promise, ended]) };
}
