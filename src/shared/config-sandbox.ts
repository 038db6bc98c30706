/** The sandbox part of the configuration: where sandboxes run, their limits, and how many there are. Main thread and command line. */
import { z } from 'zod';
import { ms, positive, positiveMs } from './config-fields.js';
import { isImageServer, poolKey, serversOf, type McpServerConfigs } from './config-mcp.js';
import { uidsProblem, uidsSchema } from './config-uids.js';
import { memoryProblem } from './sandbox-memory.js';

export const sandboxSchema = z
  .strictObject({
    driver: z.enum(['auto', 'docker', 'process']).default('auto'),
    runtime: z.string().default('').describe('Docker runtime by name (runsc, kata); empty = the daemon’s default'),
    network: z
      .string()
      .regex(
        /^(none)?$/,
        'a sandbox has no network. A Docker network joins all sandboxes to the host, to the metadata address of a cloud and to each other, ' +
          'and Fairlead, which is not root, can neither filter that nor check that somebody does. Leave the key out; `url` servers reach ' +
          'out for the model (docs/decisions/no-network.md)',
      )
      .default('')
      .describe('No network: empty or `none`. The name of a Docker network, which 0.2.0 took, is refused'),
    memoryMb: positive
      .optional()
      .describe(
        'Memory of a sandbox, the files of its writable folders included; absent = what full folders take, and 512 for programs',
      ),
    cgroupParent: z
      .string()
      .regex(/^[\w.@:/-]*$/, 'a cgroup path, or the name of a systemd slice')
      .default('')
      .describe(
        'Cgroup of all sandboxes, such as a slice with a limit (systemd/system-fairlead_sandboxes.slice); empty = Docker’s',
      ),
    cpus: z.number().positive().default(0.5),
    pids: positive.default(256),
    workspaceMb: positive.default(512).describe('Size of /workspace; 128 files and folders for each MB'),
    tmpMb: positive.default(64).describe('Size of /tmp'),
    shmMb: positive.default(64).describe('Size of /dev/shm'),
    hibernateAfterMs: ms
      .default(300_000)
      .describe('A sandbox without a tool call for so long is saved and released; 0 = never'),
    reuse: z
      .enum(['never', 'reset'])
      .default('never')
      .describe('never: a container serves one session; reset: it is restarted, checked and reused'),
    pool: z
      .strictObject({
        min: z.number().int().min(0).default(10).describe('Warm sandboxes for each image, at any time'),
        max: z.number().int().min(0).default(100).describe('Warm sandboxes at most, when demand is high'),
        maxStarting: positive
          .default(4)
          .describe(
            'Sandboxes that start at the same time for users who wait; the pool is filled with half as many as there are cores',
          ),
        idleMs: positiveMs.default(900_000).describe('How long demand is remembered'),
        maxWaiting: positive.default(100).describe('Leases that wait for a sandbox; more are refused'),
      })
      .prefault({}),
    budget: z
      .strictObject({
        containers: positive.default(1_000).describe('All containers of this server: warm, leased, draining'),
        minFreeMemoryMb: z
          .number()
          .int()
          .min(0)
          .default(256)
          .describe('No sandbox is started when the box has less memory available'),
      })
      .prefault({}),
    uids: uidsSchema,
    checkpoint: z
      .strictObject({
        enabled: z.boolean().default(true).describe('Saves /workspace in the background while a sandbox is in use'),
        everyMs: positiveMs
          .default(120_000)
          .describe('A sandbox whose files a call has changed gets one after so long: the work that its death costs'),
        maxConcurrent: positive.default(2).describe('Checkpoints at once, of all sandboxes'),
        maxBytesPerSecond: z
          .number()
          .int()
          .min(1_048_576)
          .default(33_554_432)
          .describe('What all checkpoints together read'),
        minFreeDiskMb: z
          .number()
          .int()
          .min(0)
          .default(1_024)
          .describe('No checkpoint when the data folder’s disk has less free'),
      })
      .prefault({}),
    leaseTimeoutMs: positiveMs.default(60_000).describe('How long a tool call waits for a sandbox'),
    startTimeoutMs: positiveMs.default(30_000),
    toolTimeoutMs: positiveMs.default(600_000),
  })
  .prefault({});

/** Parsed, and with the memory that the folders' sizes give it. */
export type SandboxConfig = z.infer<typeof sandboxSchema> & { memoryMb: number };

/** Problems between several fields. */
export function* sandboxProblems(
  sandbox: SandboxConfig,
  servers: McpServerConfigs,
): Iterable<{ path: string; message: string }> {
  const { pool, budget, memoryMb } = sandbox;
  const memory = memoryProblem(memoryMb, sandbox);
  if (memory !== undefined) yield { path: 'sandbox.memoryMb', message: memory };
  const uids = uidsProblem(sandbox.uids, budget.containers);
  if (uids !== undefined) yield { path: 'sandbox.uids', message: uids };
  if (pool.min > pool.max) {
    yield { path: 'sandbox.pool.min', message: `is ${pool.min}, more than sandbox.pool.max ${pool.max}` };
  }
  const images = new Set(serversOf(servers, isImageServer).map(([, server]) => poolKey(server))).size;
  if (pool.min * images > budget.containers) {
    yield {
      path: 'sandbox.budget.containers',
      message: `is ${budget.containers}, less than sandbox.pool.min ${pool.min} for each of ${images} images`,
    };
  }
}
