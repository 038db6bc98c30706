/** Which place each `url` server has in the memory that counts its connections: a reload brings servers and takes them away. Main thread. */
import { isUrlServer, serversOf, type McpServerConfigs } from '../shared/config-mcp.js';
import { createSlots } from '../shared/threads/shared-slots.js';

/** Beside those of the start. A server that finds none has its connections counted by each thread alone. */
const SPARE_PLACES = 64;

export class SlotPlaces {
  readonly memory: SharedArrayBuffer;
  readonly #size: number;
  /** By name; a server that is gone keeps its place until another one needs it, since its last calls may still run. */
  readonly #places = new Map<string, number>();

  constructor(servers: McpServerConfigs, threads: number) {
    this.#size = 2 * serversOf(servers, isUrlServer).length + SPARE_PLACES;
    this.memory = createSlots(this.#size, threads);
  }

  /** Of these servers. */
  of(servers: McpServerConfigs): Record<string, number> {
    const names = serversOf(servers, isUrlServer).map(([name]) => name);
    const found = names.map((name) => [name, this.#places.get(name) ?? this.#give(name, names)] as const);
    return Object.fromEntries(found.flatMap(([name, place]) => (place === undefined ? [] : [[name, place] as const])));
  }

  #give(name: string, names: readonly string[]): number | undefined {
    let place: number | undefined = this.#places.size;
    if (place === this.#size) {
      const gone = [...this.#places.keys()].find((known) => !names.includes(known));
      if (gone === undefined) return undefined;
      place = this.#places.get(gone)!;
      this.#places.delete(gone);
    }
    this.#places.set(name, place);
    return place;
  }
}
