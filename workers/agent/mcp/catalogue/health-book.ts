/** What this thread has come to know of its servers in passing: from lists, calls and tests, never by asking for it. Agent threads. */
import type { ProtocolEra } from '@modelcontextprotocol/client';
import type { ServerSignals } from '../../contract/mcp.js';

/** So many failures in a row are no accident any more. */
const DOWN_AFTER = 3;
/** How much a new latency counts. */
const WEIGHT = 0.2;
const MAX_ERROR = 500;

interface Known extends ServerSignals {
  failures: number;
}

export class HealthBook {
  readonly #servers: ReadonlySet<string>;
  /** Of the configuration's servers alone, so that it has a bound. */
  readonly #known = new Map<string, Known>();

  constructor(servers: Iterable<string>) {
    this.#servers = new Set(servers);
  }

  noteGood(server: string, { era, latencyMs }: { era?: ProtocolEra; latencyMs?: number } = {}): void {
    const known = this.#of(server);
    if (!known) return;
    known.failures = 0;
    delete known.lastError;
    if (era) known.era = era;
    if (latencyMs !== undefined) {
      known.latencyMs = known.latencyMs === undefined ? latencyMs : known.latencyMs * (1 - WEIGHT) + latencyMs * WEIGHT;
    }
    this.#move(known, 'healthy');
  }

  noteBad(server: string, message: string): void {
    const known = this.#of(server);
    if (!known) return;
    known.failures++;
    known.lastError = message.slice(0, MAX_ERROR);
    this.#move(known, known.failures < DOWN_AFTER ? 'degraded' : 'down');
  }

  read(): ServerSignals[] {
    return [...this.#known.values()].map(({ failures: _failures, ...signals }) => signals);
  }

  #of(server: string): Known | undefined {
    if (!this.#servers.has(server)) return undefined;
    const known = this.#known.get(server) ?? { name: server, state: 'healthy', since: Date.now(), failures: 0 };
    this.#known.set(server, known);
    return known;
  }

  #move(known: Known, state: ServerSignals['state']): void {
    if (known.state === state) return;
    known.state = state;
    known.since = Date.now();
  }
}
