/** The loud tool without Fairlead: the same image with the same limits. Runs in the process of the bad session. */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { BareContainers, type BareContainer } from '../shared/bare-container.js';
import type { BadDeeds } from './messages.js';
import { PRINT, PRINTED_BYTES } from './print.js';
import { benchConfig } from '../shared/work.js';

const MB = 1_000_000;
const CALL = { name: 'run_command', arguments: { command: PRINT } };

export class BarePrinter {
  readonly #containers: BareContainers;
  #since = performance.now();
  #count = 0;
  #problems: string[] = [];
  #stopped = false;

  private constructor(containers: BareContainers) {
    this.#containers = containers;
  }

  /** Resolves when it has begun to print. */
  static async start(): Promise<BarePrinter> {
    const containers = new BareContainers(benchConfig(tmpdir(), {}), `bench-${randomUUID()}`);
    const printer = new BarePrinter(containers);
    try {
      const container = await containers.make();
      await container.handshake();
      void printer.#print(container);
      printer.deeds();
      return printer;
    } catch (error) {
      await containers.removeAll();
      throw error;
    }
  }

  deeds(): BadDeeds {
    const now = performance.now();
    const seconds = (now - this.#since) / 1_000;
    const deeds = {
      seconds,
      count: this.#count,
      megabytes: (this.#count * PRINTED_BYTES) / MB,
      problems: this.#problems,
    };
    this.#since = now;
    this.#count = 0;
    this.#problems = [];
    return deeds;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#containers.removeAll();
  }

  /** A call whose container is removed has no answer, and is dropped with the process. */
  async #print(container: BareContainer): Promise<void> {
    try {
      while (!this.#stopped) {
        await container.call(CALL);
        this.#count++;
      }
    } catch (error) {
      this.#problems.push(error instanceof Error ? error.message : String(error));
    }
  }
}
