/** What tests of sandboxes wait for: a container that Docker has removed, a state that the pool has come to. */
import { docker } from '../../../helpers/docker.js';

const WAIT_MS = 30_000;

/** Resolves when Docker has removed it. */
export async function removed(id: string): Promise<void> {
  await docker()
    .getContainer(id)
    .wait({ condition: 'removed' })
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 404) throw error;
    });
}

/** Looks at each turn of the event loop: what it waits for is a state of this process. */
export async function settled(holds: () => boolean, waitMs = WAIT_MS): Promise<void> {
  const deadline = performance.now() + waitMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not so after ${waitMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
