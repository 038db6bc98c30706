/** Brings a sandbox to warm: starts, adopts or resets it, does the MCP handshake and learns its tools. Docker thread. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { onAbort } from '../../../src/shared/abort.js';
import type { ImageServerConfig } from '../../../src/shared/config-mcp.js';
import type { SandboxLimits } from '../../../src/shared/config-images.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { capabilitiesFor } from '../../../src/shared/mcp-capabilities.js';
import type { FoundSandbox, RunningSandbox, SandboxDriver } from '../driver/driver.js';
import { differenceOf, fingerprintOf } from './fingerprint.js';
import type { ImageUse, KnownImage, Offered, ToolCache } from './tool-cache.js';
import { WarmServer, type HandshakeOptions } from './warm-server.js';

export interface BringUpOptions {
  /** For labels, logs and errors. */
  server: string;
  image: string;
  env: Readonly<Record<string, string>>;
  /** Absent: those of the configuration's `sandbox`. */
  sandboxLimits?: SandboxLimits;
  config: Config;
  driver: SandboxDriver;
  /** Absent: an image's tools are known only after its first sandbox. */
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
  /** Of one image id: a new image under the same name may have other tools. */
  #known: (KnownImage & { imageId: string }) | undefined;
  #imageId: Promise<string> | undefined;
  /** Fingerprint of the first sandbox, unused. A reset one must have the same. */
  #fingerprint: string | undefined;
  #fingerprinted = false;
  /** As its server had them when the pool was made: its sandboxes outlive that by a reload. */
  readonly #era: ImageServerConfig['era'];
  readonly #capabilities: ClientCapabilities;

  constructor(options: BringUpOptions) {
    this.#options = options;
    const { server, config } = options;
    this.#era = config.mcpServers[server]?.era ?? 'auto';
    this.#capabilities = capabilitiesFor(config.mcpServers, server);
  }

  get #limits(): { limits?: SandboxLimits } {
    const { sandboxLimits: limits } = this.#options;
    return limits ? { limits } : {};
  }

  /** Undefined until the image's first sandbox, of this run or an earlier one. ERR_SANDBOX, ERR_UNAVAILABLE: no image id. */
  async offered(): Promise<Offered | undefined> {
    const known = await this.#knownOf(await this.#resolveImage());
    return known && { tools: known.tools, resources: known.resources, prompts: known.prompts };
  }

  /** ERR_SANDBOX, ERR_UNAVAILABLE, or the signal's reason; a sandbox that fails is destroyed. */
  async start(name: string, signal: AbortSignal): Promise<ReadySandbox> {
    const { driver, image, env, server, config } = this.#options;
    const deadline = performance.now() + config.sandbox.startTimeoutMs;
    const imageId = await this.#resolveImage();
    let running: RunningSandbox;
    try {
      running = await driver.start({ name, server, image, imageId, env, ...this.#limits, signal });
    } catch (error) {
      this.#imageId = undefined; // the image may have been replaced and removed
      throw error;
    }
    return this.#orDestroy(running, signal, async () => {
      return this.#handshakeUnused(running, msLeft(deadline), imageId, { signal, again: false });
    });
  }

  /** Options hash of a sandbox started now; undefined when its image is missing. ERR_UNAVAILABLE. */
  async optionsNow(): Promise<string | undefined> {
    const { driver, image, env } = this.#options;
    try {
      return driver.adopting?.optionsOf({ image, imageId: await this.#resolveImage(), env, ...this.#limits });
    } catch (error) {
      if (isFairleadError(error, 'ERR_SANDBOX')) return undefined;
      throw error;
    }
  }

  /** Adopts an unused sandbox of an earlier run. Errors as `start`; the sandbox is destroyed then. */
  async adopt(found: FoundSandbox, signal: AbortSignal): Promise<ReadySandbox> {
    const { config } = this.#options;
    return this.#orDestroy(found, signal, async () => {
      const imageId = await this.#resolveImage();
      const running = await found.attach(signal);
      const how = { signal, again: true };
      return this.#handshakeUnused(running, config.sandbox.startTimeoutMs, imageId, how).catch((error: unknown) => {
        void running.destroy().catch(() => undefined); // closes the stream; `found` reports whether the container is gone
        throw error;
      });
    });
  }

  #handshakeOptions(timeoutMs: number): HandshakeOptions {
    const { server, env } = this.#options;
    const modern = this.#known?.modern ?? false;
    return { server, capabilities: this.#capabilities, timeoutMs, modern, era: this.#era, env };
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

  async #handshakeUnused(
    running: RunningSandbox,
    timeoutMs: number,
    imageId: string,
    { signal, again }: { signal: AbortSignal; again: boolean },
  ): Promise<ReadySandbox> {
    const deadline = performance.now() + timeoutMs;
    const known = await this.#knownOf(imageId);
    const mcp = await WarmServer.open(running, { ...this.#handshakeOptions(msLeft(deadline)), again });
    if (!known) {
      const found = await offeredBy(mcp, msLeft(deadline));
      const { leftOut } = mcp;
      const { server, log } = this.#options;
      if (leftOut.length > 0) log.warn({ server, leftOut }, 'mcp server: tools that do not follow MCP are left out');
      this.#known = { imageId, ...found };
      await this.#options.toolCache?.write(this.#useOf(imageId), found);
    }
    await this.#fingerprintFirst(running, signal);
    signal.throwIfAborted();
    return { running, mcp };
  }

  /** Restarts a used sandbox and checks that nothing of its session is left. ERR_SANDBOX with the difference; it is destroyed then. */
  async reset(used: RunningSandbox, signal: AbortSignal): Promise<ReadySandbox> {
    const { config } = this.#options;
    const first = this.#fingerprint;
    let running = used;
    return this.#orDestroy(used, signal, async () => {
      if (first === undefined || !used.restart)
        throw new FairleadError('ERR_SANDBOX', 'it cannot be restarted and checked');
      running = await used.restart(signal);
      const mcp = await WarmServer.open(running, this.#handshakeOptions(config.sandbox.startTimeoutMs));
      const difference = differenceOf(first, await fingerprintOf(running, signal));
      if (difference) throw new FairleadError('ERR_SANDBOX', `it differs from an unused one: ${difference}`);
      signal.throwIfAborted();
      return { running, mcp };
    });
  }

  /** `destroy` works by container name, so it also ends a restarted one. */
  async #orDestroy(made: Destroyable, signal: AbortSignal, work: () => Promise<ReadySandbox>): Promise<ReadySandbox> {
    const { log } = this.#options;
    const destroy = (): Promise<void> =>
      made
        .destroy()
        .catch((error: unknown) =>
          log.warn({ err: error, sandbox: made.id }, 'a sandbox is left to the next reconcile'),
        );
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

  async #fingerprintFirst(running: RunningSandbox, signal: AbortSignal): Promise<void> {
    const { config, log, server } = this.#options;
    if (config.sandbox.reuse !== 'reset' || this.#fingerprinted) return;
    this.#fingerprinted = true;
    try {
      this.#fingerprint = await fingerprintOf(running, signal);
    } catch (error) {
      log.warn(
        { err: error, server },
        'sandbox.reuse has no effect: a sandbox of this image could not be fingerprinted',
      );
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
