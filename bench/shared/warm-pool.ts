/** A warm pool in a docker thread of its own, leased from as an agent thread does it. Runs in the bench's main thread. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { createLog } from '../../src/shared/log.js';
import { openDockerPool, type DockerPool } from '../../src/threads/docker-pool.js';
import type { StdioFromSandbox, StdioToSandbox } from '../../workers/docker/contract/messages.js';
import { checkAnswer, LIST_FILES } from './bare-container.js';
import { benchConfig } from './work.js';

const LOOK_MS = 20;

export interface Counts {
  starting: number;
  warm: number;
  leased: number;
  draining: number;
}

/** One leased sandbox, held at the agent's end of its port. */
export class HeldSandbox {
  readonly id: string;
  /** From the request to the lease, seen from here. */
  readonly leaseMs: number;
  readonly #port: MessagePort;
  #text = '';
  #onLine: ((line: string) => void) | undefined;
  #nextId = 0;

  constructor(id: string, leaseMs: number, port: MessagePort) {
    this.id = id;
    this.leaseMs = leaseMs;
    this.#port = port;
    port.on('message', (message: StdioFromSandbox) => this.#receive(message));
  }

  /** ms from the line sent to its answer here. One at a time. */
  async call(tool: { name: string; arguments: object } = LIST_FILES): Promise<number> {
    const line = JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method: 'tools/call', params: tool });
    const before = performance.now();
    const answered = new Promise<string>((resolve) => (this.#onLine = resolve));
    this.#post({ type: 'stdin', data: new TextEncoder().encode(`${line}\n`) });
    const answer = await answered;
    const ms = performance.now() - before;
    checkAnswer(answer);
    return ms;
  }

  close(): void {
    this.#port.close();
  }

  #receive(message: StdioFromSandbox): void {
    if (message.type !== 'stdout') return;
    this.#text += Buffer.from(message.data).toString();
    this.#post({ type: 'ack', bytes: message.data.byteLength });
    const end = this.#text.indexOf('\n');
    if (end < 0) return;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    this.#onLine?.(line);
  }

  #post(message: StdioToSandbox): void {
    this.#port.postMessage(message);
  }
}

export class WarmPool {
  readonly #pool: DockerPool;
  readonly #folder: string;

  private constructor(pool: DockerPool, folder: string) {
    this.#pool = pool;
    this.#folder = folder;
  }

  /** `sandbox`: as in the configuration file. The pool begins to fill. */
  static async open(sandbox: Record<string, unknown>): Promise<WarmPool> {
    const folder = await mkdtemp(join(tmpdir(), 'fl-bench-'));
    const config = benchConfig(folder, sandbox);
    const log = createLog('bench', 'warn');
    return new WarmPool(openDockerPool({ config, instance: `bench-${randomUUID()}`, driver: 'docker', log }), folder);
  }

  async counts(): Promise<Counts> {
    const counts = { starting: 0, warm: 0, leased: 0, draining: 0 };
    const { metrics } = await this.#pool.run('collect-metrics', {});
    const found = metrics as { name: string; values: { value: number; labels: { state: keyof Counts } }[] }[];
    for (const { value, labels } of found.find(({ name }) => name === 'fairlead_sandboxes')?.values ?? []) {
      counts[labels.state] += value;
    }
    return counts;
  }

  /** Resolves when exactly `warm` sandboxes wait and nothing is under way. */
  async full(warm: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const counts = await this.counts();
      if (counts.warm === warm && counts.starting + counts.draining + counts.leased === 0) return;
      await sleep(LOOK_MS, undefined, { signal });
    }
  }

  /** Rejects as the pool does. */
  async lease(): Promise<HeldSandbox> {
    const { port1, port2 } = new MessageChannel();
    const request = { session: randomUUID(), server: 'workspace', port: port2 };
    const before = performance.now();
    try {
      const { sandbox } = await this.#pool.run('lease-sandbox', request, [port2]);
      return new HeldSandbox(sandbox, performance.now() - before, port1);
    } catch (error) {
      port1.close();
      throw error;
    }
  }

  /** Resolves when the sandbox is removed. */
  async release(held: HeldSandbox): Promise<void> {
    await this.#pool.run('release-sandbox', { sandbox: held.id });
    held.close();
  }

  async close(): Promise<void> {
    await this.#pool.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
