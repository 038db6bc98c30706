/** From an image to a sandbox that can wait on a shelf: started or reset, greeted, its tools known. Docker thread. */
import type { Config } from '../../src/config.js';
import { FairleadError } from '../../src/errors.js';
import type { Logger } from '../../src/log.js';
import type { ToolDefinition } from '../../src/tool-definition.js';
import type { RunningSandbox, SandboxDriver } from './driver.js';
import { differenceOf, fingerprintOf } from './fingerprint.js';
import { WaitingServer } from './waiting-server.js';

export interface BringUpOptions {
  /** For labels, logs and errors. */
  server: string;
  image: string;
  env: Readonly<Record<string, string>>;
  config: Config;
  driver: SandboxDriver;
  log: Logger;
}

export interface Greeted {
  running: RunningSandbox;
  waiting: WaitingServer;
}

export class BringUp {
  readonly #options: BringUpOptions;
  /** By image id: a new image under the same name has tools of its own. */
  #tools: { imageId: string; tools: ToolDefinition[] } | undefined;
  #imageId: Promise<string> | undefined;
  /** What the first sandbox looked like before anybody had it; what is reset must look the same. */
  #firstLook: string | undefined;
  #looked = false;

  constructor(options: BringUpOptions) {
    this.#options = options;
  }

  /** Known from the first sandbox on. */
  get tools(): ToolDefinition[] | undefined {
    return this.#tools?.tools;
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE, or the signal's reason; nothing is left of what did not come up. */
  async start(name: string, signal: AbortSignal): Promise<Greeted> {
    const { driver, image, env, server, config } = this.#options;
    const deadline = performance.now() + config.sandbox.startTimeoutMs;
    const imageId = await this.#resolveImage();
    let running: RunningSandbox;
    try {
      running = await driver.start({ name, server, image, imageId, env, signal });
    } catch (error) {
      this.#imageId = undefined; // it may have been replaced and removed
      throw error;
    }
    return this.#orDestroy(running, signal, async () => {
      const waiting = await WaitingServer.open(running, { server, timeoutMs: msLeft(deadline) });
      if (this.#tools?.imageId !== imageId) this.#tools = { imageId, tools: await waiting.listTools(msLeft(deadline)) };
      await this.#lookAtFirst(running, signal);
      signal.throwIfAborted();
      return { running, waiting };
    });
  }

  /** Ends all that a session left, and looks whether it has. ERR_SANDBOX with the difference; the sandbox is gone then. */
  async reset(used: RunningSandbox, signal: AbortSignal): Promise<Greeted> {
    const { server, config } = this.#options;
    const first = this.#firstLook;
    let running = used;
    return this.#orDestroy(used, signal, async () => {
      if (first === undefined || !used.restart)
        throw new FairleadError('ERR_SANDBOX', 'it cannot be restarted and looked at');
      running = await used.restart(signal);
      const waiting = await WaitingServer.open(running, { server, timeoutMs: config.sandbox.startTimeoutMs });
      const difference = differenceOf(first, await fingerprintOf(running, signal));
      if (difference) throw new FairleadError('ERR_SANDBOX', `it is not as it was at first: ${difference}`);
      signal.throwIfAborted();
      return { running, waiting };
    });
  }

  /** `destroy` names the container, so that it also ends what a restart has made of it. */
  async #orDestroy(made: RunningSandbox, signal: AbortSignal, work: () => Promise<Greeted>): Promise<Greeted> {
    const { log } = this.#options;
    const destroy = (): Promise<void> =>
      made
        .destroy()
        .catch((error: unknown) => log.warn({ err: error, sandbox: made.id }, 'left to the next reconcile'));
    const onAbort = (): void => void destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await work();
    } catch (error) {
      await destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #lookAtFirst(running: RunningSandbox, signal: AbortSignal): Promise<void> {
    const { config, log, server } = this.#options;
    if (config.sandbox.reuse !== 'reset' || this.#looked) return;
    this.#looked = true;
    try {
      this.#firstLook = await fingerprintOf(running, signal);
    } catch (error) {
      log.warn({ err: error, server }, 'sandbox.reuse has no effect: this image cannot be looked at');
    }
  }

  #resolveImage(): Promise<string> {
    if (!this.#imageId) {
      const { driver, image, server } = this.#options;
      const resolving = driver.resolveImage(image, server);
      this.#imageId = resolving;
      resolving.catch(() => {
        if (this.#imageId === resolving) this.#imageId = undefined;
      });
    }
    return this.#imageId;
  }
}

function msLeft(deadline: number): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}
