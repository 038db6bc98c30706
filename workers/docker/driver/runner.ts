/**
 * The runner of a sandbox: the second process of images that declare one, which runs the tools as another user than the
 * server. It is started beside the server, and again when the server asks for it. Docker thread.
 */
import { createHash, createHmac } from 'node:crypto';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { LABEL_RUNNER } from '../../../src/shared/docker-client.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import type { Environment } from './driver.js';

/** What the server writes to stderr when it needs a runner. Nobody else can write there: code of the sandbox is another user. */
const WANTED = 'workspace: a runner is wanted';
const LONGEST_LINE = 200;
const FIRST_GAP_MS = 1_000;
const LONGEST_GAP_MS = 60_000;
/** A runner that has lived so long ended for a new reason. */
const CALM_MS = 300_000;

const starts = counter('fairlead_sandbox_runner_starts_total', 'Runners started in sandboxes that had lost theirs', [
  'outcome',
]);

const command = z.array(z.string().min(1).max(1_000)).min(1).max(32);
const labelShape = z.object({ entrypoint: command, runner: command });

export type Labels = Readonly<Record<string, string | undefined>>;

/**
 * The command of the runner, from the label of an image or a container. Undefined: there is none. An image that was made from
 * ours inherits the label, so for an image `entrypoint` is its own: with another server the runner has nobody to run for.
 */
export function runnerCommand(
  labels: Labels | null | undefined,
  entrypoint?: readonly string[] | string | null,
): string[] | undefined {
  try {
    const label = labelShape.parse(JSON.parse(labels?.[LABEL_RUNNER] ?? ''));
    const alike = entrypoint === undefined || JSON.stringify(entrypoint) === JSON.stringify(label.entrypoint);
    return alike ? label.runner : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/** Derived, so that an adopting server knows it too; the instance's id is not known inside. */
function secretOf(instance: string, name: string): string {
  return createHmac('sha256', instance).update(`runner of ${name}`).digest('hex');
}

/** The server's environment: enough to recognise the runner, not to be it. All programs in the sandbox inherit it. */
export function serverEnvironment(instance: string, name: string): Environment {
  return { FAIRLEAD_RUNNER: createHash('sha256').update(secretOf(instance, name)).digest('hex') };
}

export function runnerEnvironment(instance: string, name: string): Environment {
  return { FAIRLEAD_RUNNER_SECRET: secretOf(instance, name) };
}

/** Starts a sandbox's runner again whenever its server asks, the more rarely the more often it ends. */
export class RunnerKeeper {
  readonly #start: () => Promise<void>;
  readonly #log: Logger;
  #startedAt = performance.now();
  #again = 0;
  #starting = false;
  #stopped = false;

  constructor(stderr: Readable, start: () => Promise<void>, log: Logger) {
    this.#start = start;
    this.#log = log;
    let rest = '';
    stderr.on('data', (chunk: Buffer) => {
      const lines = `${rest}${chunk.toString('latin1')}`.split('\n');
      rest = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      if (lines.includes(WANTED)) void this.#wanted();
    });
  }

  /** The sandbox ends. */
  stop(): void {
    this.#stopped = true;
  }

  /** The server asks again every two seconds, so what comes too early is left to the next time. */
  async #wanted(): Promise<void> {
    const now = performance.now();
    if (now - this.#startedAt > CALM_MS) this.#again = 0;
    const gap = this.#again === 0 ? 0 : Math.min(LONGEST_GAP_MS, FIRST_GAP_MS * 2 ** (this.#again - 1));
    if (this.#stopped || this.#starting || now - this.#startedAt < gap) return;
    this.#starting = true;
    this.#again++;
    this.#startedAt = now;
    try {
      await this.#start();
      starts.inc({ outcome: 'ok' });
    } catch (error) {
      starts.inc({ outcome: 'failed' });
      if (!this.#stopped) this.#log.warn({ err: error }, 'the runner of a sandbox could not be started again');
    } finally {
      this.#starting = false;
    }
  }
}
