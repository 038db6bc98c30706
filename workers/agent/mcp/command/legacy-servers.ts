/** Remembers servers that speak the legacy protocol only, so that not each start tries the modern one. Agent threads. */

/** Bounded, so that an upgraded server is noticed. */
const REMEMBER_MS = 60 * 60_000;

/** Bounded by the configuration's servers. The modern protocol is not remembered, since its first request also lists capabilities. */
export class LegacyServers {
  readonly #legacyUntil = new Map<string, number>();

  isLegacy(server: string): boolean {
    return (this.#legacyUntil.get(server) ?? 0) > performance.now();
  }

  noteLegacy(server: string): void {
    this.#legacyUntil.set(server, performance.now() + REMEMBER_MS);
  }

  forget(server: string): void {
    this.#legacyUntil.delete(server);
  }
}
