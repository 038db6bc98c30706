/** Lets a plan happen: several events at a time, each on a session or container that is there at its moment. Runs in tests. */
import type { ContainerInfo } from 'dockerode';
import { docker } from '../../helpers/docker.js';
import { Person, type Outcome } from './person.js';
import { pick, type ChaosEvent, type EventKind } from './plan.js';
import { until } from '../../helpers/until.js';
import type { World } from './world.js';

const AT_ONCE = 6;
/** A container that was paused goes on after so many events more. */
const PAUSED_FOR = 10;
const FOUND_MS = 30_000;

export class ChaosRun {
  readonly #world: World;
  readonly people = new Set<Person>();
  readonly done = new Map<EventKind, number>();
  readonly outcomes = new Map<string, number>();
  readonly faults: string[] = [];
  /** Containers that are paused, and after which event they go on. */
  readonly #paused = new Map<string, number>();
  #count = 0;

  constructor(world: World) {
    this.#world = world;
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves when all have happened and nothing of them is under way. */
  async play(plan: readonly ChaosEvent[]): Promise<void> {
    const events = plan.values();
    const lane = async (): Promise<void> => {
      for (const event of events) {
        try {
          await this.#perform(event);
          this.#world.note(`done ${event.kind}`);
        } catch (error) {
          this.#world.note(`FAULT ${event.kind} ${(error as Error).message}`);
          this.faults.push(`${event.kind}: ${(error as Error).message}`);
        }
        this.#count++;
        this.done.set(event.kind, (this.done.get(event.kind) ?? 0) + 1);
        await this.#unpause(this.#count);
      }
      await this.#unpause(Infinity); // a call that another lane waits for may be in one
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  async #perform({ kind, draw }: ChaosEvent): Promise<void> {
    const world = this.#world;
    switch (kind) {
      case 'open':
        return this.#open();
      case 'read':
        return this.#with(draw, kind, async (person) => (await person.read()).outcome);
      case 'write':
        return this.#with(draw, kind, (person) => person.write());
      case 'cancel':
        return this.#with(draw, kind, (person) => person.cancel(fraction(draw)));
      case 'cut':
        return this.#with(draw, kind, (person) => person.cut(fraction(draw)));
      case 'delete':
        return this.#with(draw, kind, async (person) => {
          this.people.delete(person);
          await person.delete();
          this.faults.push(...person.problems);
          return 'ok';
        });
      case 'kill-container':
        return this.#strike(draw, kind, (id) => docker().getContainer(id).kill());
      case 'remove-container':
        return this.#strike(draw, kind, (id) => docker().getContainer(id).remove({ force: true }));
      case 'pause-container':
        return this.#strike(draw, kind, (id) => docker().getContainer(id).pause());
      case 'rest':
        return world.rest();
      case 'reconcile':
        return world.reconcile();
      case 'kill-docker-thread':
        return world.killDockerThread();
      case 'kill-dockerd':
        return world.restartDockerd('SIGKILL');
      case 'stop-dockerd':
        return world.restartDockerd('SIGTERM');
      case 'kill-engine':
        return world.killEngine();
      case 'stop-engine':
        return world.stopEngine();
    }
  }

  async #open(): Promise<void> {
    const person = new Person(this.#world);
    this.people.add(person);
    try {
      const outcome = await person.open();
      this.#tell('open', outcome);
      if (outcome === 'failed') await this.#world.ready();
    } finally {
      person.busy = false;
    }
  }

  /** With one that nothing happens to now; where there is none, a new one is made for it. */
  async #with(draw: number, kind: EventKind, act: (person: Person) => Promise<Outcome>): Promise<void> {
    const free = [...this.people].filter((person) => !person.busy && person.session !== '');
    const person = pick(free, draw);
    if (!person) {
      await this.#open();
      return this.#with(draw, kind, act);
    }
    person.busy = true;
    try {
      const outcome = await act(person);
      this.#tell(kind, outcome);
      // Who is refused comes back when the server says so: else a plan runs out while Docker rests.
      if (outcome === 'failed') await this.#world.ready();
    } finally {
      person.busy = false;
    }
  }

  /** At a container that waits or that a session holds; one that goes in the same moment does not count. */
  async #strike(draw: number, kind: EventKind, hit: (id: string) => Promise<unknown>): Promise<void> {
    const struck = async (): Promise<boolean> => {
      try {
        const running = (await this.#world.containers()).filter(({ State }) => State === 'running');
        const target: ContainerInfo | undefined = pick(running, draw);
        if (!target) return false;
        if (kind !== 'pause-container') this.#world.harmed.add(target.Id);
        await hit(target.Id);
        if (kind === 'pause-container') this.#paused.set(target.Id, this.#count + PAUSED_FOR);
        this.#world.note(`${kind} ${target.Names[0]} ${target.Id.slice(0, 12)}`);
        return true;
      } catch {
        return false; // it has gone, or Docker has: another one then
      }
    };
    await until(`${kind} finds one`, struck, { timeoutMs: FOUND_MS });
  }

  async #unpause(count: number): Promise<void> {
    for (const [id, after] of this.#paused) {
      if (after > count) continue;
      this.#paused.delete(id);
      await docker()
        .getContainer(id)
        .unpause()
        .catch(() => undefined); // it has ended meanwhile
    }
  }

  #tell(kind: EventKind, outcome: Outcome): void {
    const key = `${kind} ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }
}

/** A second number 0…1 from the first: which session and which way are drawn apart. */
function fraction(draw: number): number {
  return (draw * 1_000) % 1;
}
