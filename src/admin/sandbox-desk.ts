/** The sandboxes of this server, for operators and administrators. Main thread. */
import type { SandboxInfo } from '../../workers/docker/contract/messages.js';
import { withDeadline } from '../shared/abort.js';
import { FairleadError } from '../shared/errors.js';
import type { DockerPool } from '../threads/docker-pool.js';

/** Docker is asked for the memory of each. */
const LIST_MS = 10_000;
/** As a restart: the workspace is saved, at the second try of a sandbox whose processes are stopped first. */
const END_MS = 150_000;
const REASON = 'an administrator has ended this sandbox';
/** `docker ps` prints twelve. */
const SHORTEST = 12;

export class SandboxDesk {
  readonly #docker: () => Pick<DockerPool, 'run'> | undefined;

  constructor(docker: () => Pick<DockerPool, 'run'> | undefined) {
    this.#docker = docker;
  }

  /** ERR_UNAVAILABLE. */
  async list(): Promise<SandboxInfo[]> {
    const { sandboxes } = await this.#ask(LIST_MS, (docker) => docker.run('list-sandboxes', {}));
    return sandboxes;
  }

  /** By its id, or the beginning of it. ERR_NOT_FOUND: no session has such a one here; ERR_BAD_FRAME: several have. */
  async find(id: string): Promise<SandboxInfo> {
    const held = (await this.list()).filter(({ session }) => session !== undefined);
    const exact = held.find(({ sandbox }) => sandbox === id);
    if (exact) return exact;
    const [first, second] = id.length < SHORTEST ? [] : held.filter(({ sandbox }) => sandbox.startsWith(id));
    if (second) throw new FairleadError('ERR_BAD_FRAME', `several sandboxes begin with ${id}: write more of it`);
    if (first) return first;
    throw new FairleadError('ERR_NOT_FOUND', `no session has a sandbox ${id} at this server`);
  }

  /**
   * Saves its files and ends it; its session goes on with a fresh one. False: with `discard`, since its files could not be saved.
   * ERR_SANDBOX, ERR_UNAVAILABLE: it stays.
   */
  async end(sandbox: string, discard: boolean): Promise<boolean> {
    const request = { sandbox, reason: REASON, discard };
    return (await this.#ask(END_MS, (docker) => docker.run('replace-sandbox', request))).saved;
  }

  #ask<T>(timeoutMs: number, work: (docker: Pick<DockerPool, 'run'>) => Promise<T>): Promise<T> {
    const docker = this.#docker();
    if (!docker) throw new FairleadError('ERR_UNAVAILABLE', 'the server is still starting', { retryAfterMs: 1_000 });
    return withDeadline({ timeoutMs, late }, () => work(docker));
  }
}

function late(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the docker thread does not answer');
}
