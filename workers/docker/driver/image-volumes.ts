/** The folders that images declare as VOLUME. Docker would make each a writable folder on the host's disk, without a limit. Docker thread. */
import { posix } from 'node:path';
import type { ImageInspectInfo } from 'dockerode';
import { FairleadError } from '../../../src/shared/errors.js';

/** Each takes memory of its own. */
const MOST_VOLUMES = 8;

/** Cleaned paths. ERR_SANDBOX for an image with too many. */
export function volumesOf({ Config }: ImageInspectInfo, image: string): readonly string[] {
  const declared = Object.keys(Config.Volumes ?? {});
  // Docker compares the cleaned path with those of the mounts that it is given.
  const volumes = [...new Set(declared.map((path) => posix.resolve('/', path)))].sort();
  if (volumes.length > MOST_VOLUMES) {
    throw new FairleadError(
      'ERR_SANDBOX',
      `the image ${image} declares ${volumes.length} volumes: at most ${MOST_VOLUMES} can be given memory of their own; build it with fewer VOLUME lines`,
    );
  }
  return volumes;
}
