/** Carries out a plan: several events at a time, each on a session or container that exists at its moment. Runs in tests. */
import { docker } from '../../helpers/docker.js';
import { pick } from '../random.js';
import { countIn } from '../report.js';
import type { World } from '../world.js';
import type { EventKind, SandboxEvent } from './plan.js';
import { ScriptedUser, type Outcome } from './scripted-user.js';

/** A paused container goes on after as many further events. */
const PAUSED_FOR = 10;

export class PlanPlayer {
  readonly users = new Set<ScriptedUser>();
  readonly events: Record<string, number> = {};
  /** `write ok`: how many events of that kind had that outcome. */
  readonly outcomes: Record<string, number> = {};
  readonly faults: string[] = [];
  readonly #world: World;
  readonly #atOnce: number;
  /** Paused containers, and the event after which each goes on. */
  readonly #paused = new Map<string, number>();
  #count = 0;

  constructor(world: World, { atOnce }: { atOnce: number }) {
    this.#world = world;
    this.#atOnce = atOnce;
  }

  /** Resolves when all events are over. */
  async play(plan: readonly SandboxEvent[], onProgress?: (done: number, of: number) => void): Promise<void> {
    const events = plan.values();
    const worker = async (): Promise<void> => {
      for (const event of events) {
        try {
          await this.#perform(event);
          this.#world.note(`done ${event.kind}`);
        } catch (error) {
          this.#world.note(`FAULT ${event.kind} ${(error as Error).message}`);
          this.faults.push(`${event.kind}: ${(error as Error).message}`);
        }
        onProgress?.(++this.#count, plan.length);
        countIn(this.events, event.kind);
        await this.#unpause(this.#count);
      }
      await this.#unpause(Infinity); // a call that another worker waits for may run in a paused container
    };
    await Promise.all(Array.from({ length: this.#atOnce }, worker));
  }

  async #perform({ kind, draw }: SandboxEvent): Promise<void> {
    const world = this.#world;
    switch (kind) {
      case 'open':
        return this.#open();
      case 'read':
        return this.#with(draw, kind, async (user) => (await user.read()).outcome);
      case 'write':
        return this.#with(draw, kind, (user) => user.write());
      case 'cancel':
        return this.#with(draw, kind, (user) => user.cancel(fraction(draw)));
      case 'cut':
        return this.#with(draw, kind, (user) => user.cut(fraction(draw)));
      case 'delete':
        return this.#with(draw, kind, async (user) => {
          this.users.delete(user);
          await user.delete();
          this.faults.push(...user.problems);
          return 'ok';
        });
      case 'kill-container':
        await world.strikeContainer('kill', draw);
        return;
      case 'remove-container':
        await world.strikeContainer('remove', draw);
        return;
      case 'pause-container':
        this.#paused.set(await world.strikeContainer('pause', draw), this.#count + PAUSED_FOR);
        return;
      case 'rest':
        return world.hibernation();
      case 'reconcile':
        return world.reconcile();
      case 'kill-docker-thread':
        return world.strikeThread('die docker');
      case 'kill-dockerd':
        return world.restartDockerd('SIGKILL');
      case 'stop-dockerd':
        return world.restartDockerd('SIGTERM');
      case 'kill-server':
        return world.killServer();
      case 'stop-server':
        return world.stopServer();
    }
  }

  async #open(): Promise<void> {
    const user = new ScriptedUser(this.#world);
    this.users.add(user);
    try {
      const outcome = await user.open();
      countIn(this.outcomes, `open ${outcome}`);
      if (outcome === 'failed') await this.#world.ready('a', 1);
    } finally {
      user.busy = false;
    }
  }

  /** With a user to whom nothing happens now, or a new one. */
  async #with(draw: number, kind: EventKind, act: (user: ScriptedUser) => Promise<Outcome>): Promise<void> {
    const free = [...this.users].filter((user) => !user.busy && user.session !== '');
    const user = pick(free, draw);
    if (!user) {
      await this.#open();
      return this.#with(draw, kind, act);
    }
    user.busy = true;
    try {
      const outcome = await act(user);
      countIn(this.outcomes, `${kind} ${outcome}`);
      // Waits until the server can serve again: otherwise the plan runs out while Docker is away.
      if (outcome === 'failed') await this.#world.ready('a', 1);
    } finally {
      user.busy = false;
    }
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
}

/** A second number of 0…1 from the first: one chooses the session, the other the variant. */
function fraction(draw: number): number {
  return (draw * 1_000) % 1;
}
