/** What a session's container costs while it is warm, leased and hibernated: its processes, its shim and the kernel's part. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { containersOf, docker, dockerHost } from '../../test/helpers/docker.js';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import type { ModelServer } from '../../test/helpers/model-server.js';
import { within } from '../../test/helpers/processes.js';
import { People } from './people.js';
import { containerBytes, diskBytes, type ContainerMemory } from './proc.js';
import { sandboxCount } from './sandbox-count.js';
import { SAY } from './script.js';

const LOOK_EVERY_MS = 500;
const LOOKS = 8;
/** Two looks that differ by less count as equal. */
const SAME = 0.002;
/** Long enough to look at the leased sandboxes. */
const HIBERNATE_AFTER_MS = 6_000;
const WAIT_MS = 60_000;

export interface SandboxOptions {
  model: ModelServer;
  containers: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** Of one, in bytes. */
export interface SandboxCosts {
  warm: ContainerMemory;
  leased: ContainerMemory;
  hibernatedDisk: number;
}

export async function sandboxCosts({ model, containers, signal, progress }: SandboxOptions): Promise<SandboxCosts> {
  const people = new People(signal);
  progress(`${containers} warm containers`);
  const engine = await startEngine({
    config: {
      agents: { threads: 1, spare: false },
      approvals: { default: 'allow' },
      sandbox: {
        driver: 'docker',
        hibernateAfterMs: HIBERNATE_AFTER_MS,
        // No room for more: nothing starts while sandboxes are leased.
        pool: { min: containers, max: containers },
        budget: { containers },
      },
      limits: { maxSocketsPerUser: containers },
    },
    env: {
      REDIS_URL: '',
      DOCKER_HOST: dockerHost(),
      ANTHROPIC_API_KEY: 'bench',
      ANTHROPIC_BASE_URL: model.url,
    },
  });
  try {
    await until(
      async () => (await sandboxCount(engine, 'warm', signal)) >= containers,
      'the warm pool is not full',
      signal,
    );
    const warm = await settled(await firstPids(engine), signal);
    const who = await people.attach(engine.wsUrl, containers);
    progress(`${containers} containers leased`);
    await people.each(who, containers, (person) => person.say(SAY.write, 'turn:end'));
    const leased = await settled(await firstPids(engine), signal);
    progress(`${containers} containers hibernate`);
    const saved = (): number => engine.logs.filter(({ msg }) => msg === 'sandbox hibernated').length;
    await until(async () => saved() >= containers, 'not all have hibernated', signal);
    const hibernatedDisk = (await diskBytes(join(engine.dataDir, 'workspaces'))) / containers;
    return { warm: each(warm, containers), leased: each(leased, containers), hibernatedDisk };
  } finally {
    people.cut();
    await engine.stop();
  }
}

async function until(condition: () => Promise<boolean>, why: string, signal: AbortSignal): Promise<void> {
  const looking = async (): Promise<void> => {
    while (!(await condition())) await pause(LOOK_EVERY_MS, undefined, { signal });
  };
  await within(looking(), WAIT_MS, () => `${why} after ${WAIT_MS} ms`);
}

async function firstPids(engine: Engine): Promise<number[]> {
  const found = await containersOf(`fairlead.instance=${await engine.instance()}`);
  const states = await Promise.all(found.map(({ id }) => docker().getContainer(id).inspect()));
  return states.map(({ State }) => State.Pid).filter((pid) => pid > 0);
}

/** Waits until the memory no longer changes: a process gives memory back in its first moments of rest. */
async function settled(pids: readonly number[], signal: AbortSignal): Promise<ContainerMemory> {
  let last = await containerBytes(pids);
  for (let look = 0; look < LOOKS; look++) {
    await pause(LOOK_EVERY_MS, undefined, { signal });
    const now = await containerBytes(pids);
    if (Math.abs(now.pss - last.pss) < last.pss * SAME) return now;
    last = now;
  }
  return last;
}

function each({ pss, anonymous, shims, kernel }: ContainerMemory, count: number): ContainerMemory {
  return { pss: pss / count, anonymous: anonymous / count, shims: shims / count, kernel: kernel / count };
}
