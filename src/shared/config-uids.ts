/** The part `sandbox.uids` of the configuration: the user ids of containers. Every thread. */
import { z } from 'zod';

/** Below it are the accounts of the host. */
const FIRST_UID = 1_000;
/** The kernel's ids have 32 bits, and much software takes them for signed numbers. */
const LAST_UID = 2_147_483_647;

export const uidsSchema = z
  .strictObject({
    // From 0x70000000 on no distribution, no systemd and no subuid file gives ids to anybody.
    from: z.number().int().min(FIRST_UID).max(LAST_UID).default(1_900_000_000).describe('The first of them'),
    count: z.number().int().min(2).default(65_536).describe('How many: each container has two of its own'),
  })
  .prefault({})
  .describe('User ids of containers; nobody else on this machine should have them');

/** What is wrong with the range for so many containers. */
export function uidsProblem({ from, count }: z.infer<typeof uidsSchema>, containers: number): string | undefined {
  if (from + count - 1 > LAST_UID) return `ends beyond ${LAST_UID}, the last user id`;
  if (count < 2 * containers)
    return `has ${count} ids, fewer than two for each of sandbox.budget.containers (${containers})`;
  return undefined;
}
