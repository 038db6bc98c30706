/** How sessions leave an agent thread: deleted by their user, expired, or moved to another server. Agent threads. */
import { audit } from '../../../src/shared/audit.js';
import type { Config } from '../../../src/shared/config.js';
import { errorToData } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import type { Channel } from '../../../src/shared/threads/channel.js';
import { threadOf } from '../../../src/shared/threads/route.js';
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { AgentContract, AgentHostContract } from '../contract/messages.js';
import type { EndSessionResult, SweepSessionsRequest, SweepSessionsResult } from '../contract/sessions.js';
import type { UsageBook } from '../budget/usage-book.js';
import type { Outbox } from '../log/outbox.js';
import type { McpServers } from '../mcp/servers.js';
import type { ServingDoor } from '../serve/serving-door.js';
import type { Session } from '../session/session.js';
import { noSuchSession, type Sessions } from '../session/sessions.js';
import type { Store } from '../store/store.js';

export interface SessionExitsOptions {
  data: Pick<AgentWorkerData, 'index' | 'threads'> & { config: Pick<Config, 'store' | 'approvals'> };
  channel: Pick<Channel<AgentContract, AgentHostContract>, 'request' | 'notify'>;
  store: Pick<Store, 'deleteSession' | 'deleteExpired' | 'expiredSessions'>;
  sessions: Pick<Sessions, 'forget' | 'isActive'>;
  serving: Pick<ServingDoor, 'isActive' | 'release'>;
  servers: Pick<McpServers, 'releaseSession' | 'hibernateSession'>;
  usage: Pick<UsageBook, 'settle'>;
  outbox: Outbox;
  log: Logger;
}

export class SessionExits {
  readonly #options: SessionExitsOptions;

  constructor(options: SessionExitsOptions) {
    this.#options = options;
  }

  async delete(session: Session): Promise<void> {
    const { store, sessions, serving, usage, outbox } = this.#options;
    await session.close('cancelled');
    session.log.fail(noSuchSession());
    serving.release(session.id);
    try {
      // Another server that deletes its user with everything must not find its last use come later.
      await usage.settle();
      await this.#releaseSandboxes(session.id);
      await store.deleteSession(session.id);
    } finally {
      // Not earlier: a message that comes meanwhile would open the session again, and lease a new sandbox.
      sessions.forget(session);
    }
    outbox.flush();
    this.#tellGone(session.id, CLOSE.noSuchSession, 'the session was deleted');
  }

  /** An administrator ends what it does and holds. Its history and files stay, and its user may come back to it. */
  async end(session: Session): Promise<EndSessionResult> {
    const { serving, servers, outbox } = this.#options;
    const turns = session.row.openTurns.length;
    await session.cancelAll();
    serving.release(session.id);
    await servers.hibernateSession(session.id);
    outbox.flush();
    this.#tellGone(session.id, CLOSE.ended, 'an administrator has ended this session');
    return { turns };
  }

  /** Another server has taken the session over or deleted it. Its files stay here, where they were written. */
  async leave(session: string, why: 'moved' | 'deleted'): Promise<void> {
    const { serving, servers, outbox, log } = this.#options;
    outbox.flush();
    if (why === 'deleted') this.#tellGone(session, CLOSE.noSuchSession, 'the session was deleted');
    else this.#tellGone(session, CLOSE.draining, 'the session has moved to another server: come back with after');
    log.info({ session, why }, 'a session has left this server');
    serving.release(session);
    if (why === 'moved') return servers.hibernateSession(session);
    try {
      await this.#releaseSandboxes(session);
    } catch (error) {
      log.warn({ session, err: errorToData(error).message }, 'sandboxes of a deleted session are left to reconcile');
    }
    return undefined;
  }

  /**
   * Deletes expired sessions, each thread its own. The store judges each again in the step that deletes it, so that one that
   * is used meanwhile, here or at another server, stays. If a release fails, the docker thread's reconcile removes what has
   * no row.
   */
  async sweep({ limit }: SweepSessionsRequest): Promise<SweepSessionsResult> {
    const { data, store, sessions, serving } = this.#options;
    const { sessionTtlMs } = data.config.store;
    const before = Date.now() - sessionTtlMs;
    // An open turn keeps its session for as long again: its server may come back and resume it.
    const openBefore = before - Math.max(sessionTtlMs, data.config.approvals.timeoutMs);
    const isMine = (id: string): boolean => threadOf(id, data.threads) === data.index;
    let deleted = 0;
    for (const id of await store.expiredSessions(before, limit * data.threads)) {
      if (!isMine(id) || sessions.isActive(id) || serving.isActive(id)) continue;
      if (!(await store.deleteExpired(id, before, openBefore))) continue;
      deleted++;
      audit({ what: 'session_deleted', session: id, about: { why: 'it has expired' } });
      this.#tellGone(id, CLOSE.noSuchSession, 'the session has expired');
      serving.release(id);
      await this.#releaseSandboxes(id);
    }
    return { deleted };
  }

  async #releaseSandboxes(session: string): Promise<void> {
    await this.#options.servers.releaseSession(session);
    await this.#options.channel.request('release-session', { session });
  }

  #tellGone(session: string, closeCode: number, reason: string): void {
    this.#options.channel.notify('session-gone', { session, closeCode, reason });
  }
}
