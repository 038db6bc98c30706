/** From an image to a sandbox that can wait on a shelf: started or reset, greeted, its tools known. Docker thread. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { onAbort } from '../../../src/shared/abort.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { capabilitiesFor } from '../../../src/shared/mcp-capabilities.js';
import type { FoundSandbox, RunningSandbox, SandboxDriver } from '../driver/driver.js';
import { differenceOf, fingerprintOf } from './fingerprint.js';
import type { ImageUse, KnownImage, Offered, ToolCache } from './tool-cache.js';
import { WarmServer, type GreetOptions } from './warm-server.js';

export interface BringUpOptions {
  /** For labels, logs and errors. */
  server: string;
  image: string;
  env: Readonly<Record<string, string>>;
  config: Config;
  driver: SandboxDriver;
  /** Without it nothing is known of an image before its first sandbox. */
  toolCache?: ToolCache | undefined;
  log: Logger;
}

export interface ReadySandbox {
  running: RunningSandbox;
  mcp: WarmServer;
}

type Destroyable = Pick<RunningSandbox, 'id' | 'destroy'>;

export class BringUp {
  readonly #options: BringUpOptions;
  /** By image id: a new image under the same name has tools of its own. */
  #known: (KnownImage & { imageId: string }) | undefined;
  #imageId: Promise<string> | undefined;
  /** What the first sandbox looked like before anybody had it; what is reset must look the same. */
  #firstLook: string | undefined;
  #looked = false;

  constructor(options: BringUpOptions) {
    this.#options = options;
  }

  /** Known from the first sandbox on, also of an earlier run. ERR_SANDBOX, ERR_UNAVAILABLE: which image it is cannot be said. */
  async offered(): Promise<Offered | undefined> {
    const known = await this.#knownOf(await this.#resolveImage());
    return known && { tools: known.tools, resources: known.resources, prompts: known.prompts };
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE, or the signal's reason; nothing is left of what did not come up. */
  async start(name: string, signal: AbortSignal): Promise<ReadySandbox> {
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
      return this.#greetUnused(running, msLeft(deadline), imageId, { signal, again: false });
    });
  }

  /** What a sandbox would be made with now; undefined when its image cannot be used. ERR_UNAVAILABLE. */
  async optionsNow(): Promise<string | undefined> {
    const { driver, image, env } = this.#options;
    try {
      return driver.adopting?.optionsOf({ image, imageId: await this.#resolveImage(), env });
    } catch (error) {
      if (isFairleadError(error, 'ERR_SANDBOX')) return undefined;
      throw error;
    }
  }

  /** One that is there already and that nobody has had. Errors as `start`; destroyed then. */
  async adopt(found: FoundSandbox, signal: AbortSignal): Promise<ReadySandbox> {
    const { config } = this.#options;
    return this.#orDestroy(found, signal, async () => {
      const imageId = await this.#resolveImage();
      const running = await found.attach(signal);
      const how = { signal, again: true };
      return this.#greetUnused(running, config.sandbox.startTimeoutMs, imageId, how).catch((error: unknown) => {
        void running.destroy().catch(() => undefined); // its stream; whether it is gone is told by `found`
        throw error;
      });
    });
  }

  #greeting(timeoutMs: number): GreetOptions {
    const { server } = this.#options;
    return { server, capabilities: this.#capabilities, timeoutMs, modern: this.#known?.modern ?? false };
  }

  get #capabilities(): ClientCapabilities {
    const { server, config } = this.#options;
    return capabilitiesFor(config.mcpServers, server);
  }

  #useOf(imageId: string): ImageUse {
    return { imageId, env: this.#options.env, capabilities: this.#capabilities };
  }

  async #knownOf(imageId: string): Promise<KnownImage | undefined> {
    if (this.#known?.imageId === imageId) return this.#known;
    const written = await this.#options.toolCache?.read(this.#useOf(imageId));
    if (written) this.#known = { imageId, ...written };
    return written;
  }

  async #greetUnused(
    running: RunningSandbox,
    timeoutMs: number,
    imageId: string,
    { signal, again }: { signal: AbortSignal; again: boolean },
  ): Promise<ReadySandbox> {
    const deadline = performance.now() + timeoutMs;
    const known = await this.#knownOf(imageId);
    const mcp = await WarmServer.open(running, { ...this.#greeting(msLeft(deadline)), again });
    if (!known) {
      const found = await offeredBy(mcp, msLeft(deadline));
      this.#known = { imageId, ...found };
      await this.#options.toolCache?.write(this.#useOf(imageId), found);
    }
    await this.#lookAtFirst(running, signal);
    signal.throwIfAborted();
    return { running, mcp };
  }

  /** Ends all that a session left, and looks whether it has. ERR_SANDBOX with the difference; the sandbox is gone then. */
  async reset(used: RunningSandbox, signal: AbortSignal): Promise<ReadySandbox> {
    const { config } = this.#options;
    const first = this.#firstLook;
    let running = used;
    return this.#orDestroy(used, signal, async () => {
      if (first === undefined || !used.restart)
        throw new FairleadError('ERR_SANDBOX', 'it cannot be restarted and looked at');
      running = await used.restart(signal);
      const mcp = await WarmServer.open(running, this.#greeting(config.sandbox.startTimeoutMs));
      const difference = differenceOf(first, await fingerprintOf(running, signal));
      if (difference) throw new FairleadError('ERR_SANDBOX', `it is not as it was at first: ${difference}`);
      signal.throwIfAborted();
      return { running, mcp };
    });
  }

  /** `destroy` names the container, so that it also ends what a restart has made of it. */
  async #orDestroy(made: Destroyable, signal: AbortSignal, work: () => Promise<ReadySandbox>): Promise<ReadySandbox> {
    const { log } = this.#options;
    const destroy = (): Promise<void> =>
      made
        .destroy()
        .catch((error: unknown) => log.warn({ err: error, sandbox: made.id }, 'left to the next reconcile'));
    const stop = onAbort(signal, () => void destroy());
    try {
      return await work();
    } catch (error) {
      await destroy();
      throw error;
    } finally {
      stop();
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

async function offeredBy(mcp: WarmServer, timeoutMs: number): Promise<KnownImage> {
  const { handshake } = mcp;
  const { capabilities } = handshake.era === 'modern' ? handshake.discover : handshake.initialize;
  return {
    tools: await mcp.listTools(timeoutMs),
    resources: capabilities.resources !== undefined,
    prompts: capabilities.prompts !== undefined,
    modern: handshake.era === 'modern',
  };
}

function msLeft(deadline: number): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}
