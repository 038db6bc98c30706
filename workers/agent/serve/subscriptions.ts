/** Resources that one client of the older protocol watches, each at the server that has it. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import { refuseDenied } from '../mcp/calls/judge.js';
import type { ServeParts, Served } from './parts.js';
import { listResources, serversFor } from './upstreams.js';

const MAX = 100;

export class Subscriptions {
  readonly #parts: ServeParts;
  readonly #onUpdated: (uri: string) => void;
  /** URI → stops the watch. */
  readonly #open = new Map<string, () => Promise<void>>();
  #closed = false;

  constructor(parts: ServeParts, onUpdated: (uri: string) => void) {
    this.#parts = parts;
    this.#onUpdated = onUpdated;
  }

  /** ERR_MCP when no server with this resource can report changes, or too many resources are watched; ERR_DENIED. */
  async add(uri: string, of: Served): Promise<void> {
    if (this.#open.has(uri)) return;
    if (this.#open.size >= MAX) throw new FairleadError('ERR_MCP', `${MAX} resources are watched already`);
    const { servers, config, policy } = this.#parts.agent;
    const { routes } = this.#parts;
    // A server may accept a watch for a resource that it lacks, so its list decides who has it.
    if (routes.resource(of.user, uri) === undefined) {
      await listResources(this.#parts, of, 'resources/list', AbortSignal.timeout(config.mcp.requestTimeoutMs));
    }
    let failure: unknown;
    for (const server of serversFor(this.#parts, of, uri)) {
      try {
        await refuseDenied(policy, of, { server, method: 'resources/read', params: { uri } });
        const connection = await servers.connection(of, server);
        if (!connection.watchResource) continue;
        const { requestTimeoutMs: timeoutMs } = config.mcp;
        const stop = await connection.watchResource(uri, () => this.#onUpdated(uri), { timeoutMs });
        const other = this.#open.get(uri); // two requests for the same resource at once
        if (this.#closed) return await stop();
        this.#open.set(uri, stop);
        await other?.();
        return undefined;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure ?? new FairleadError('ERR_MCP', 'no server with this resource reports its changes');
  }

  async remove(uri: string): Promise<void> {
    const stop = this.#open.get(uri);
    this.#open.delete(uri);
    await stop?.();
  }

  /** The client has disconnected. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#open.values()) void stop().catch(() => undefined); // the server may be gone as well
    this.#open.clear();
  }
}
