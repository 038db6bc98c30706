/** Images made from the workspace image; as it was before it had a runner, if not told otherwise. Runs in tests. */
import { randomUUID } from 'node:crypto';
import { docker, WORKSPACE_IMAGE } from './docker.js';

export interface OldImage {
  readonly tag: string;
  remove(): Promise<void>;
}

export async function makeOldImage(changes = 'LABEL fairlead.runner=""'): Promise<OldImage> {
  const tag = `old-${randomUUID()}`;
  const container = await docker().createContainer({ Image: WORKSPACE_IMAGE });
  await container.commit({ repo: 'fairlead/workspace', tag, changes });
  await container.remove({ force: true });
  const name = `fairlead/workspace:${tag}`;
  return { tag: name, remove: async () => void (await docker().getImage(name).remove({ force: true })) };
}
