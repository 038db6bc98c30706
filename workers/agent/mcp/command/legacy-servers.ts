/** Which servers know the older era alone: they are not asked again at each start. Agent threads. */

/** A server that was brought up to date must not be taken for an old one for ever. */
const REMEMBER_MS = 60 * 60_000;

/** By server name, so never more than the configuration has. The newer era is not remembered: asking is what tells what the server has. */
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
