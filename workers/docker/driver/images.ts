/** What the driver knows of images: their content ids, which of them have a runner, and their volumes. Docker thread. */
import type Docker from 'dockerode';
import { howToGetImage, LABEL_RUNNER, LABEL_VERSION, WORKSPACE_IMAGE } from '../../../src/shared/docker-client.js';
import type { Logger } from '../../../src/shared/log.js';
import { volumesOf } from './image-volumes.js';
import type { Operations } from './operations.js';
import { runnerCommand } from './runner.js';

const TIMEOUT_MS = 10_000;
/** Images that are remembered: a name that is built again and again has a new id each time. */
const MOST_IMAGES = 200;

export interface KnownImage {
  readonly id: string;
  /** The command of its runner. Undefined: all its processes have one user. */
  readonly runner: readonly string[] | undefined;
  /** Cleaned paths. Each that a container does not cover is a folder on the host's disk. */
  readonly volumes: readonly string[];
}

export class Images {
  readonly #docker: Docker;
  readonly #operations: Operations;
  readonly #log: Logger;
  readonly #byId = new Map<string, KnownImage>();

  constructor(docker: Docker, operations: Operations, log: Logger) {
    this.#docker = docker;
    this.#operations = operations;
    this.#log = log;
  }

  /** By name; asks Docker each time, since the name may have a new image. ERR_SANDBOX for too many volumes; Docker's error. */
  async resolve(image: string, timeoutMs = TIMEOUT_MS): Promise<KnownImage> {
    const found = await this.#operations.run({ operation: 'inspect', timeoutMs }, () =>
      this.#docker.getImage(image).inspect(),
    );
    return this.#byId.get(found.Id) ?? this.#note(found, image);
  }

  /** By content id. Errors as `resolve`. */
  async get(id: string, timeoutMs: number): Promise<KnownImage> {
    return this.#byId.get(id) ?? this.resolve(id, timeoutMs);
  }

  /** None for an image that was not asked for, or is forgotten. */
  volumesOf(id: string): readonly string[] {
    return this.#byId.get(id)?.volumes ?? [];
  }

  #note(found: Docker.ImageInspectInfo, image: string): KnownImage {
    const { Labels: labels, Entrypoint: entrypoint } = found.Config as {
      Labels?: Record<string, string> | null;
      Entrypoint?: string[] | string | null;
    };
    const runner = runnerCommand(labels, entrypoint ?? null);
    const known = { id: found.Id, runner, volumes: volumesOf(found, image) };
    if (labels?.[LABEL_VERSION] !== undefined && !labels[LABEL_RUNNER]) {
      const text = `the image ${image} is an old one, in which commands run as the server's own user: ${howToGetImage(WORKSPACE_IMAGE)}`;
      this.#log.warn({ image }, text);
    }
    this.#byId.set(found.Id, known);
    const [oldest] = this.#byId.size > MOST_IMAGES ? this.#byId.keys() : [];
    if (oldest !== undefined) this.#byId.delete(oldest);
    return known;
  }
}
