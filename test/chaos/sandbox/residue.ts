/** What a server has and leaves on the machine: containers, processes, archives, and what its metrics say of them. Runs in tests. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from 'redis';
import { keysLeft } from '../keys-left.js';
import { readMetrics } from '../metrics.js';
import { processesOf, type Processes } from '../processes.js';
import type { World } from '../world.js';

/** Of the warm pool. */
export const MIN_WARM = 2;

export interface Residue extends Processes {
  containers: { id: string; state: string; session: string }[];
  archives: string[];
  /** Sandboxes by state as the docker thread counts them, and how many the agent threads hold. */
  states: Record<string, number>;
  held: number;
}

export async function look(world: World): Promise<Residue> {
  const sum = await readMetrics((await world.up()).url);
  const state = (name: string): number => sum('fairlead_sandboxes', `state="${name}"`);
  const containers = await world.containers();
  return {
    containers: containers.map(({ Id, State, Names }) => ({ id: Id, state: State, session: sessionOf(Names[0]) })),
    ...(await runningOf(world)),
    archives: await archivesOf(world),
    states: { starting: state('starting'), warm: state('warm'), leased: state('leased'), draining: state('draining') },
    held: sum('fairlead_agent_sandboxes'),
  };
}

/** Without the containers that Docker itself has forgotten: see ChaosDockerd. */
export async function runningOf(world: World): Promise<Processes> {
  const { shims, inside, unborn } = await processesOf(world.dockerd.folder);
  const known = new Set((await world.containers()).map(({ Id }) => Id));
  for (const ids of [shims, inside]) {
    for (const id of ids.keys()) if (world.dockerd.orphans.has(id) && !known.has(id)) ids.delete(id);
  }
  return { shims, inside, unborn };
}

/** What differs from a state in which exactly these sessions hold a sandbox; empty when nothing does. */
export function differences(seen: Residue, holders: readonly string[]): string[] {
  const wrong: string[] = [];
  const same = (what: string, is: unknown, should: unknown): void => {
    const [left, right] = [JSON.stringify(is), JSON.stringify(should)];
    if (left !== right) wrong.push(`${what}: ${left}, not ${right}`);
  };
  same('states', seen.states, { starting: 0, warm: MIN_WARM, leased: holders.length, draining: 0 });
  same('held by agent threads', seen.held, holders.length);
  const warm = Array.from({ length: MIN_WARM }, () => '');
  same('containers', seen.containers.map(({ session }) => session).sort(), [...warm, ...holders].sort());
  const running = seen.containers.filter(({ state }) => state === 'running').map(({ id }) => id);
  same('running', running.length, seen.containers.length);
  const ids = seen.containers.map(({ id }) => id).sort();
  same('shims', [...seen.shims.keys()].sort(), ids);
  same('a shim each', [...seen.shims.values()].flat().length, ids.length);
  same('containers with processes', [...seen.inside.keys()].sort(), ids);
  same(
    'unfinished archives',
    seen.archives.filter((name) => !name.endsWith('.tar.lz4')),
    [],
  );
  return wrong;
}

export async function archivesOf({ engine }: World): Promise<string[]> {
  return readdir(join(engine.dataDir, 'workspaces'));
}

export function sessionOfArchive(name: string): string {
  return name.split('~')[0] ?? '';
}

/** The sessions in the store's index, and the keys that do not end by themselves. */
export async function storeOf({ redis }: World): Promise<{ sessions: string[]; keys: string[] }> {
  const client = createClient({ url: redis.url });
  await client.connect();
  try {
    return { sessions: await client.zRange('fairlead:sessions', 0, -1), keys: await keysLeft(client) };
  } finally {
    await client.close();
  }
}

/** A container is named `/fairlead-INSTANCE-RANDOM` while it is warm, and gets `.SESSION` at its end when it is leased. */
function sessionOf(name = ''): string {
  return /\.(.+)$/.exec(name)?.[1] ?? '';
}
