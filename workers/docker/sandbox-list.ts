/** The sandboxes as operators see them, with the memory that each uses. Docker thread. */
import type { SandboxInfo } from './contract/messages.js';
import type { SandboxDriver } from './driver/driver.js';
import type { Lease } from './lease/lease.js';
import type { ContainerPool } from './pool/container-pool.js';
import type { Sandbox } from './pool/sandbox.js';

const MIB = 1_048_576;
/** For all together: a list without what Docker did not say in time is better than none. */
const MEMORY_MS = 3_000;
const AT_ONCE = 10;

export interface SandboxListParts {
  pools: readonly Pick<ContainerPool, 'server' | 'image' | 'memoryMb' | 'all'>[];
  leases: readonly Lease[];
  driver: Pick<SandboxDriver, 'adopting'>;
}

/** Those that have an id, in its order. */
export async function listSandboxes({ pools, leases, driver }: SandboxListParts): Promise<SandboxInfo[]> {
  const isolated = driver.adopting !== undefined; // processes without isolation have no limit
  const bySandbox = new Map(leases.map((lease) => [lease.sandbox, lease]));
  const found = pools.flatMap((pool) => [...pool.all()].map((sandbox) => ({ sandbox, pool })));
  const held = found.filter(({ sandbox }) => idOf(sandbox) !== undefined);
  const memory = await memoryOf(held.map(({ sandbox }) => sandbox));
  const infos = held.map(({ sandbox, pool }): SandboxInfo => {
    const lease = bySandbox.get(sandbox);
    const server = lease?.server ?? pool.server;
    const used = memory.get(sandbox);
    return {
      sandbox: idOf(sandbox)!,
      state: sandbox.state === 'gone' ? 'draining' : sandbox.state,
      server,
      image: pool.image,
      ...(lease && { session: lease.session, leasedAt: lease.leasedAt }),
      ...(lease && sandbox.user && { user: sandbox.user }),
      ...(used !== undefined && { memoryBytes: used }),
      ...(isolated && { maxMemoryBytes: pool.memoryMb * MIB }),
    };
  });
  return infos.toSorted((one, other) => (one.sandbox < other.sandbox ? -1 : 1));
}

function idOf({ running, found }: Sandbox): string | undefined {
  return running?.id ?? found?.id;
}

async function memoryOf(sandboxes: readonly Sandbox[]): Promise<Map<Sandbox, number>> {
  const signal = AbortSignal.timeout(MEMORY_MS);
  const known = new Map<Sandbox, number>();
  const queue = sandboxes.values();
  const worker = async (): Promise<void> => {
    for (const sandbox of queue) {
      if (signal.aborted) return;
      const bytes = await sandbox.running?.memory?.(signal);
      if (bytes !== undefined) known.set(sandbox, bytes);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return known;
}
