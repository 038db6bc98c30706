/** How this thread's servers are doing, as its lists, calls and tests have shown; no request is made to find out. Agent threads. */
import type { ProtocolEra } from '@modelcontextprotocol/client';
import type { ServerHealth } from '../../contract/mcp.js';
import { HealthTracker } from '../host/health-tracker.js';

const DOWN_AFTER = 3;

export class HealthBook {
  readonly #servers: () => readonly string[];
  readonly #ofConnections: (server: string) => ServerHealth | undefined;
  /** Bounded: it takes servers of the configuration only. */
  readonly #trackers = new Map<string, HealthTracker>();

  /** `ofConnections`: what the server's own connections know; it outweighs what calls have shown. */
  constructor(
    servers: () => readonly string[],
    ofConnections: (server: string) => ServerHealth | undefined = () => undefined,
  ) {
    this.#servers = servers;
    this.#ofConnections = ofConnections;
  }

  noteGood(server: string, era?: ProtocolEra): void {
    this.#of(server)?.succeeded(era);
  }

  /** `isNobodys`: the request was no user's, so its text may be shown to all. */
  noteBad(server: string, error: unknown, isNobodys = false): void {
    this.#of(server)?.failed(error, { isNobodys });
  }

  /** Other servers have these names now, or none. */
  forget(servers: readonly string[]): void {
    for (const server of servers) this.#trackers.delete(server);
  }

  /** By server name; without the servers of which nothing is known. */
  read(): Record<string, ServerHealth> {
    const known = this.#servers().flatMap((server): [string, ServerHealth][] => {
      const ofCalls = this.#trackers.get(server)?.current;
      const ofConnections = this.#ofConnections(server);
      const health = ofConnections ? { ...ofCalls, ...ofConnections } : ofCalls;
      return health ? [[server, health]] : [];
    });
    return Object.fromEntries(known);
  }

  #of(server: string): HealthTracker | undefined {
    if (!this.#servers().includes(server)) return undefined;
    const tracker = this.#trackers.get(server) ?? new HealthTracker({ downAfter: DOWN_AFTER });
    this.#trackers.set(server, tracker);
    return tracker;
  }
}
