/** Takes the samples: in each group, for each number of connections, all servers take turns. */
import type { BenchContext } from '../suite/bench.js';
import type { Case, Group } from './groups.js';
import type { Extent } from './messages.js';
import { WARM_UP_CONNECTIONS, type Plan } from './plan.js';
import { takeSample, together, type Sample } from './sample.js';
import type { World } from './world.js';

export interface Row {
  group: Group;
  name: string;
  connections: number;
  rounds: Sample[];
  all: Sample;
}

/** The server's resident memory after a group, and how many requests of it were answered. */
export interface Memory {
  after: string;
  mib: number;
  answers: number;
}

export interface Measured {
  rows: Row[];
  memory: Memory[];
}

export async function measure(
  world: World,
  groups: readonly Group[],
  plan: Plan,
  { signal, progress }: Pick<BenchContext, 'signal' | 'progress'>,
): Promise<Measured> {
  const { engine, redis, client } = world;
  const steps = groups.reduce((sum, { cases }) => sum + cases.length, 0) * (1 + plan.rounds * plan.connections.length);
  let step = 0;

  const take = async (group: Group, each: Case, connections: number, extent: Extent): Promise<Sample> => {
    signal.throwIfAborted();
    progress(`${group.name}, ${connections} connection${connections === 1 ? '' : 's'}`, step++ / steps);
    const job = { ...(await each.request(connections)), url: each.server.url, connections, extent };
    return takeSample(client, job, { server: each.server.pid, store: redis.pid });
  };
  const memoryAfter = async (after: string, answers: number): Promise<Memory> => ({
    after,
    mib: (await engine.rssBytes()) / 2 ** 20,
    answers,
  });

  const rows: Row[] = [];
  const memory: Memory[] = [await memoryAfter('the start', 0)];
  for (const group of groups) {
    let answers = 0;
    const count = (each: Case, { latencies }: Sample): void => {
      if (each.server === engine) answers += latencies.length;
    };
    for (const each of group.cases) count(each, await take(group, each, WARM_UP_CONNECTIONS, group.warmUp));
    for (const connections of plan.connections) {
      const taken = new Map<Case, Sample[]>(group.cases.map((each) => [each, []]));
      for (let round = 0; round < plan.rounds; round++) {
        for (const [each, rounds] of taken) {
          const sample = await take(group, each, connections, group.extent(connections));
          count(each, sample);
          rounds.push(sample);
        }
      }
      for (const [{ name }, rounds] of taken) {
        rows.push({ group, name, connections, rounds, all: together(rounds) });
      }
    }
    memory.push(await memoryAfter(group.name, answers));
  }
  return { rows, memory };
}
