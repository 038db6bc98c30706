/** The folders that images declare as VOLUME. Docker would make each a writable folder on the host's disk, without a limit. Docker thread. */
import { posix } from 'node:path';
import type { ImageInspectInfo } from 'dockerode';
import { FairleadError } from '../../../src/shared/errors.js';

/** Each takes memory of its own. */
const MOST_VOLUMES = 8;
/** Images that are remembered: a name that is built again and again has a new id each time. */
const MOST_IMAGES = 200;

export class ImageVolumes {
  readonly #byId = new Map<string, readonly string[]>();

  /** Undefined for an image that was not noted, or is forgotten. */
  of(imageId: string): readonly string[] | undefined {
    return this.#byId.get(imageId);
  }

  /** ERR_SANDBOX for an image with too many volumes. */
  note({ Id, Config }: ImageInspectInfo, image: string): readonly string[] {
    const declared = Object.keys(Config.Volumes ?? {});
    // Docker compares the cleaned path with those of the mounts that it is given.
    const volumes = [...new Set(declared.map((path) => posix.resolve('/', path)))].sort();
    if (volumes.length > MOST_VOLUMES) {
      throw new FairleadError(
        'ERR_SANDBOX',
        `the image ${image} declares ${volumes.length} volumes: at most ${MOST_VOLUMES} can be given memory of their own; build it with fewer VOLUME lines`,
      );
    }
    this.#byId.delete(Id);
    this.#byId.set(Id, volumes);
    const [oldest] = this.#byId.size > MOST_IMAGES ? this.#byId.keys() : [];
    if (oldest !== undefined) this.#byId.delete(oldest);
    return volumes;
  }
}
