/** An agent thread behind its port: the sessions it owns and what the main thread may ask of them. Takes a port, so a test can hold the other end. */
import type { Channel, RequestHandlers } from '../../../src/shared/threads/channel.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { registry } from '../../../src/shared/metrics.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import type { SessionRow, Store } from '../store/store.js';
import { isSharedSession } from '../mcp/host/shared-sessions.js';
import { threadOf } from '../../../src/shared/threads/route.js';
import { attachFrames, liveFrames, replayFrames } from '../session/attach.js';
import { DueSessions } from '../session/due-sessions.js';
import type { SandboxHost } from '../mcp/sandbox/connection.js';
import { Commands } from '../mcp/command/commands.js';
import { SessionSandboxes } from '../mcp/sandbox/session-sandboxes.js';
import { McpServers } from '../mcp/servers.js';
import { ToolArgs } from '../mcp/calls/tool-args.js';
import { withoutUrlServers, type CreateUrlPart } from '../mcp/url-servers.js';
import { createMcpPart } from '../mcp/requests.js';
import type { AgentContract, AgentHostContract } from '../contract/messages.js';
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { SessionInfo } from '../contract/sessions.js';
import type { Model } from '../model/model.js';
import { Outbox } from '../log/outbox.js';
import { createPolicy } from '../mcp/calls/policy.js';
import { pendingOf, runningTurn } from '../log/progress.js';
import type { Session } from '../session/session.js';
import { servingRequests } from '../serve/requests.js';
import { ServingDoor } from '../serve/serving-door.js';
import { noSuchSession, Sessions } from '../session/sessions.js';
import { watchStore } from '../session/store-health.js';
import type { AgentParts } from '../turn/turn.js';
import { sharedSession } from '../mcp/host/shared-sessions.js';
import { SessionTools } from '../mcp/catalogue/session-tools.js';

/** Activity that no step writes (an attach, a read) moves the session's row at most this often. */
const TOUCH_INTERVAL_MS = 60_000;
const MAX_WAIT = Infinity;

export interface AgentThreadOptions {
  data: Pick<AgentWorkerData, 'config' | 'index' | 'threads' | 'instance'>;
  channel: Channel<AgentContract, AgentHostContract>;
  store: Store;
  model: Model;
  log: Logger;
  /** Absent: the configuration has no `url` servers. */
  createUrlPart?: CreateUrlPart;
  /** After `close`: nothing is left to do. */
  onClosed: () => void;
}

export function startAgentThread(options: AgentThreadOptions): void {
  const { channel, store, model, log, data, createUrlPart = withoutUrlServers } = options;
  const { config } = data;
  const host: SandboxHost = {
    lease: (request) => channel.request('lease-sandbox', request, { timeoutMs: MAX_WAIT, transfer: [request.port] }),
    exec: async (request) =>
      void (await channel.request('exec-server', request, { timeoutMs: MAX_WAIT, transfer: [request.port] })),
    hibernate: async (sandbox) =>
      void (await channel.request('hibernate-sandbox', { sandbox }, { timeoutMs: MAX_WAIT })),
    release: async (sandbox) => void (await channel.request('release-sandbox', { sandbox })),
  };
  const outbox = new Outbox((batch) => channel.notify('frames', { batch }));
  const shared = sharedSession(data.index);
  const changed = new SessionTools({ timeoutMs: config.mcp.requestTimeoutMs, shared, log });
  const sandboxes = new SessionSandboxes({ host, config, shared, sessionTools: changed, log });
  const commands = new Commands({ config, place: data, sandboxes, host, sessionTools: changed, log });
  const urls = createUrlPart({ ...data, store, channel, log });
  const { remotes } = urls;
  const servers = new McpServers(config, { sandboxes, commands, remotes });
  const mcp = createMcpPart({ ...data, channel, servers, commands, remotes, changed, log });
  const parts: AgentParts = {
    config,
    model,
    policy: createPolicy(config.approvals),
    servers,
    toolArgs: new ToolArgs(log),
    outbox,
    toolSet: (caller) => mcp.catalogue.toolSet(caller),
    catalogue: mcp.catalogue,
  };
  const isMine = (session: string): boolean => threadOf(session, data.threads) === data.index;
  const sessions = new Sessions({
    store,
    parts,
    log,
    owner: data.instance,
    onMoved: (session, why) => void leave(session, why),
    onReread: (session, seq) => channel.notify('session-seq', { session, seq }),
  });
  const due = new DueSessions({ store, isMine, wake: (session) => sessions.wake(session), log });
  const health = watchStore(store, log, (healthy) => channel.notify('health', { thread: data.index, store: healthy }));
  // The scripted model is named as such everywhere, whatever the configuration would ask a real one for.
  const defaultModel = model.provider === 'demo' ? 'demo' : config.model.name;
  let draining = false;

  const touch = async (row: SessionRow): Promise<void> => {
    const now = Date.now();
    if (now - row.lastActiveAt < TOUCH_INTERVAL_MS) return;
    row.lastActiveAt = now;
    await store.touchSession(row.session, now);
  };

  const serving = new ServingDoor({
    agent: parts,
    log,
    stream: (part) => channel.request('mcp-stream', part),
    withSession: (of, work) =>
      sessions.with(of, async ({ row }) => {
        await touch(row);
        return work(row);
      }),
    createSession: async (of) => {
      refuseWhenDraining();
      await store.createSession(newRow({ ...of, model: defaultModel, owner: data.instance }));
    },
    deleteSession: (of) => sessions.with(of, deleteSession),
  });

  const ofMcp = mcp.handlers((of) => sessions.read(of));
  const requests: RequestHandlers<AgentContract> = {
    'create-session': async ({ session, user, model: wanted }) => {
      refuseWhenDraining();
      const row = newRow({ session, user, model: wanted ?? defaultModel, owner: data.instance });
      if (row.model !== defaultModel && !config.model.allow.includes(row.model)) {
        throw new FairleadError('ERR_MODEL_NOT_ALLOWED', `the model ${row.model} is not in model.allow`);
      }
      await store.createSession(row);
      return { session, model: row.model };
    },
    attach: ({ after, resumed, ...of }) =>
      sessions.with(of, async (session) => {
        await touch(session.row);
        return attachFrames(session, store, parts, { resumed, ...(after === undefined ? {} : { after }) });
      }),
    replay: async ({ after, ...of }) => {
      const { session, seq } = await sessions.read(of);
      const frames = await replayFrames(session, store, { after, seq });
      return frames ? { frames } : {};
    },
    'read-seqs': async ({ sessions: asked }) => ({ seqs: await store.readSeqs(asked) }),
    resume: async () => ({ sessions: await due.start() }),
    'catch-up': (of) =>
      sessions.with(of, (session) => {
        outbox.flush();
        return { frames: liveFrames(session) };
      }),
    'submit-message': ({ id, content, ...of }) => {
      refuseWhenDraining();
      return sessions.with(of, (session) => session.submit({ content, ...(id === undefined ? {} : { id }) }));
    },
    'answer-approval': (answer) =>
      sessions.with(answer, async (session) => {
        await session.answer(answer);
        return null;
      }),
    'answer-elicitation': ({ user, session: id, ...reply }) =>
      sessions.with({ user, session: id }, async (session) => {
        await session.answerQuestion(reply);
        return null;
      }),
    'cancel-turn': (of) =>
      sessions.with(of, async (session) => {
        await session.cancel();
        return null;
      }),
    'reset-history': (of) =>
      sessions.with(of, async (session) => {
        await session.reset();
        return null;
      }),
    'get-session': async (of) => infoOf(await sessions.read(of)),
    'list-sessions': async ({ user, limit, cursor }) => {
      const page = await store.listSessions(user, { limit, ...(cursor === undefined ? {} : { cursor }) });
      return {
        sessions: page.sessions.map(summaryOf),
        ...(page.next === undefined ? {} : { next: page.next }),
      };
    },
    'delete-session': (of) =>
      sessions.with(of, async (session) => {
        await deleteSession(session);
        return null;
      }),
    'read-history': async (of) => {
      const row = await sessions.read(of);
      await touch(row);
      return { transcript: await store.readHistory(row.session) };
    },
    ...ofMcp,
    ...servingRequests(serving),
    ...urls.handlers,
    'mcp-forget': (of) => {
      urls.forget(of);
      return ofMcp['mcp-forget'](of);
    },
    'set-catalogue': async (request) => {
      await ofMcp['set-catalogue'](request);
      serving.toolsChanged();
      return null;
    },
    'sweep-sessions': ({ limit }) => sweep(limit),
    'missing-sessions': async ({ sessions: asked }) => {
      const people = asked.filter((session) => !isSharedSession(session, data.threads));
      const rows = await Promise.all(people.map((session) => store.readSession(session)));
      return { missing: people.filter((_, index) => rows[index] === undefined) };
    },
    'hibernate-all': () => parts.servers.hibernateAll(),
    'collect-metrics': async () => ({ metrics: await registry.getMetricsAsJSON() }),
    drain: async ({ graceMs }) => {
      draining = true;
      due.close();
      sessions.pauseNew();
      await Promise.all([drain(sessions, graceMs), serving.drain(AbortSignal.timeout(graceMs))]);
      outbox.flush();
      return null;
    },
  };

  channel.handle(requests, { close: () => void close() });
  channel.notify('ready', {});

  function refuseWhenDraining(): void {
    if (draining) throw new FairleadError('ERR_DRAINING', 'the server is stopping', { retryAfterMs: 5_000 });
  }

  async function deleteSession(session: Session): Promise<void> {
    await session.close('cancelled');
    session.log.fail(noSuchSession());
    serving.release(session.id);
    try {
      await parts.servers.releaseSession(session.id);
      await channel.request('release-session', { session: session.id });
      await store.deleteSession(session.id);
    } finally {
      sessions.forget(session); // not before: a message that comes meanwhile would open it again, and take a new sandbox
    }
    outbox.flush();
    tellGone(session.id, CLOSE.noSuchSession, 'the session was deleted');
  }

  function tellGone(session: string, closeCode: number, reason: string): void {
    channel.notify('session-gone', { session, closeCode, reason });
  }

  /** It goes on at another server, or nowhere. Its files stay with this one, which made them. */
  async function leave(session: string, why: 'taken' | 'deleted'): Promise<void> {
    outbox.flush();
    if (why === 'deleted') tellGone(session, CLOSE.noSuchSession, 'the session was deleted');
    else tellGone(session, CLOSE.draining, 'the session has moved to another server: come back with after');
    log.info({ session, why }, 'a session has left this server');
    serving.release(session);
    if (why === 'taken') return parts.servers.hibernateSession(session);
    try {
      await parts.servers.releaseSession(session);
      await channel.request('release-session', { session });
    } catch (error) {
      log.warn({ session, err: errorToData(error).message }, 'left to the next reconcile');
    }
    return undefined;
  }

  /**
   * Each thread takes its own sessions. The store judges each again in the step in which it deletes it, so that one that is
   * used meanwhile, here or at another server, stays; what has lost its row is let go by the docker thread's reconcile at
   * the latest.
   */
  async function sweep(limit: number): Promise<{ deleted: number }> {
    const { sessionTtlMs } = config.store;
    const before = Date.now() - sessionTtlMs;
    // A turn that a server has left open which never came back is nobody's after another such time.
    const openBefore = before - Math.max(sessionTtlMs, config.approvals.timeoutMs);
    const ids = await store.expiredSessions(before, limit * data.threads);
    let deleted = 0;
    for (const id of ids) {
      if (
        !isMine(id) ||
        sessions.isActive(id) ||
        serving.isActive(id) ||
        !(await store.deleteExpired(id, before, openBefore))
      )
        continue;
      deleted++;
      tellGone(id, CLOSE.noSuchSession, 'the session has expired');
      serving.release(id);
      await parts.servers.releaseSession(id);
      await channel.request('release-session', { session: id });
    }
    return { deleted };
  }

  async function close(): Promise<void> {
    health.close();
    mcp.close();
    urls.close();
    due.close();
    sessions.close();
    await serving.close();
    outbox.flush();
    channel.close(); // settles the leases that nobody answers any more: what starts would be waited for below
    await parts.servers.disconnect();
    await store.close();
    options.onClosed();
  }
}

/** Turns get their grace, then are interrupted; those that wait for a person wait on in the store. */
async function drain(sessions: Sessions, graceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([grace, Promise.all(sessions.all().map((session) => session.drain()))]);
  clearTimeout(timer);
  await Promise.all(sessions.all().map((session) => session.close('interrupted')));
}

function newRow(of: Pick<SessionRow, 'session' | 'user' | 'model' | 'owner'>): SessionRow {
  const now = Date.now();
  return {
    ...of,
    title: '',
    createdAt: now,
    lastActiveAt: now,
    seq: 0,
    turns: 0,
    openTurns: [],
    allowed: [],
    context: null,
  };
}

function summaryOf(row: SessionRow): Omit<SessionInfo, 'running' | 'pending'> {
  const { session, model, title, createdAt, lastActiveAt, seq, turns } = row;
  return { session, model, title, createdAt, lastActiveAt, seq, turns };
}

function infoOf(row: SessionRow): SessionInfo {
  return { ...summaryOf(row), running: runningTurn(row) !== undefined, pending: pendingOf(row) };
}
