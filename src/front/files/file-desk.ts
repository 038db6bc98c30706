/** Leads requests for files to whoever has them: a place among the user's transfers, a hold on the sandbox, the docker thread. Main thread. */
import type { DockerTasks } from '../../../workers/docker/contract/messages.js';
import type { WorkspaceOf } from '../../../workers/docker/contract/files.js';
import type { HoldWorkspaceRequest } from '../../../workers/agent/contract/sandboxes.js';
import { errorToData, FairleadError } from '../../shared/errors.js';
import type { Config } from '../../shared/config.js';
import type { Logger } from '../../shared/log.js';
import type { FileChange } from '../../shared/protocol.js';
import type { Agents } from '../../threads/agents.js';
import type { DockerPool } from '../../threads/docker-pool.js';
import type { Exchange } from '../http.js';
import type { Subscriber } from '../hub.js';
import type { Presence } from '../presence.js';
import { errorOfClose } from '../problem.js';
import type { RouteCall } from '../router.js';
import { toSessionId } from '../session-id.js';

/** A lease waits in a line, and then for the files of its session. */
const HOLD_TIMEOUT_MS = 150_000;
const TELL_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;

type Docker = Pick<DockerPool, 'run'>;
type FileTask = 'list-files' | 'open-file' | 'pack-files' | 'write-file' | 'delete-file' | 'move-file';
type Act = NonNullable<HoldWorkspaceRequest['act']>;

export interface FileDeskOptions {
  agents: Agents;
  docker: () => Docker | undefined;
  presence: Presence;
  limits: Pick<Config['limits'], 'maxFileTransfers'>;
  log: Logger;
}

/** A request for files, while it is served. It gets no events of the session. */
interface Transfer extends Subscriber {
  /** The answer has begun. */
  streaming: boolean;
}

export interface Held extends WorkspaceOf {
  /** From now on an end of its credential or of the server cuts the connection. */
  begun: () => void;
}

export class FileDesk {
  readonly #options: FileDeskOptions;
  /** By user; without an entry at 0. */
  readonly #running = new Map<string, number>();

  constructor(options: FileDeskOptions) {
    this.#options = options;
  }

  /** Runs `work` while the session’s sandbox cannot hibernate; with `act` it has one. The errors of both, and of `Presence`. */
  async with<T>(call: RouteCall, act: Act | undefined, work: (held: Held) => Promise<T>): Promise<T> {
    const transfer = this.#enter(call);
    try {
      return await this.#hold(call, act, transfer, work);
    } finally {
      this.#leave(call.user, transfer);
    }
  }

  /** As `with`, for reading: a sandbox is started only where `work` finds (undefined) that nothing else can say. */
  async look<T>(call: RouteCall, work: (held: Held) => Promise<T | undefined>): Promise<T> {
    const transfer = this.#enter(call);
    try {
      const seen = await this.#hold(call, undefined, transfer, work);
      const found = seen ?? (await this.#hold(call, 'read', transfer, work));
      if (found === undefined) throw new FairleadError('ERR_SANDBOX', 'the sandbox does not say what is there');
      return found;
    } finally {
      this.#leave(call.user, transfer);
    }
  }

  /** Tells the session's clients what was done. Never rejects: it is done, and a list shows it. */
  async tell(call: RouteCall, change: FileChange): Promise<void> {
    const { agents, log } = this.#options;
    const of = { user: call.user, session: toSessionId(call.params['session'] ?? '') };
    const { path, from } = change;
    const named = { ...change, path: fromRoot(path), ...(from !== undefined && { from: fromRoot(from) }) };
    try {
      await agents.request(of.session, 'note-files', { ...of, changes: [named] }, { timeoutMs: TELL_TIMEOUT_MS });
    } catch (error) {
      log.warn({ session: of.session, err: errorToData(error).message }, 'a change of a file was not told');
    }
  }

  ask<K extends FileTask>(
    name: K,
    request: DockerTasks[K]['request'],
    transfer: Parameters<Docker['run']>[2] = [],
  ): Promise<DockerTasks[K]['result']> {
    const docker = this.#options.docker();
    if (docker) return docker.run(name, request, transfer);
    throw new FairleadError('ERR_UNAVAILABLE', 'the server is still starting', { retryAfterMs: RETRY_MS });
  }

  async #hold<T>(
    call: RouteCall,
    act: Act | undefined,
    transfer: Transfer,
    work: (held: Held) => Promise<T>,
  ): Promise<T> {
    const { agents } = this.#options;
    const of = { user: call.user, session: toSessionId(call.params['session'] ?? '') };
    const server = call.query.get('server') ?? undefined;
    const request = { ...of, who: call.who, ...(server !== undefined && { server }), ...(act && { act }) };
    const held = await agents.request(of.session, 'hold-workspace', request, { timeoutMs: HOLD_TIMEOUT_MS });
    try {
      if (!call.exchange.open) throw new FairleadError('ERR_CANCELLED', 'the client has gone');
      return await work({ session: of.session, server: held.server, begun: () => (transfer.streaming = true) });
    } finally {
      const { hold } = held;
      if (hold !== undefined) void this.#release(of.session, hold);
    }
  }

  async #release(session: string, hold: string): Promise<void> {
    // A thread that has died holds nothing.
    await this.#options.agents.request(session, 'release-workspace', { hold }).catch(() => undefined);
  }

  /** ERR_TOO_MANY_REQUESTS, and the refusals of `Presence`. */
  #enter({ exchange, user, person }: RouteCall): Transfer {
    const { presence, limits } = this.#options;
    const running = this.#running.get(user) ?? 0;
    if (running >= limits.maxFileTransfers) {
      const text = `${limits.maxFileTransfers} requests for files of this user are served: wait for one to end (limits.maxFileTransfers)`;
      throw new FairleadError('ERR_TOO_MANY_REQUESTS', text, { retryAfterMs: RETRY_MS });
    }
    const transfer = makeTransfer(exchange, user, person);
    const full = presence.enter(user, transfer);
    if (full) throw full;
    this.#running.set(user, running + 1);
    return transfer;
  }

  #leave(user: string, transfer: Transfer): void {
    this.#options.presence.leave(user, transfer);
    const left = (this.#running.get(user) ?? 1) - 1;
    if (left > 0) this.#running.set(user, left);
    else this.#running.delete(user);
  }
}

/** `/workspace/x` is `x`, as lists have it. */
function fromRoot(path: string): string {
  return path.replace(/^\/workspace\//, '');
}

function makeTransfer(exchange: Exchange, user: string, person: Subscriber['person']): Transfer {
  const transfer: Transfer = {
    streaming: false,
    user,
    person,
    seq: 0,
    get open() {
      return exchange.open;
    },
    send: () => undefined,
    gone: (code, reason, error) => {
      if (transfer.streaming) exchange.cut();
      else exchange.fail(error ?? errorOfClose(code, reason));
    },
  };
  return transfer;
}
