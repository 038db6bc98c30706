/** An agent thread behind its port: the sessions it owns and what the main thread may ask of them. Takes a port, so a test can hold the other end. */
import type { Channel, RequestHandlers } from '../../src/threads/channel.js';
import { FairleadError } from '../../src/errors.js';
import type { Logger } from '../../src/log.js';
import { registry } from '../../src/metrics.js';
import type { SessionRow, Store } from '../../src/store/store.js';
import { threadOf } from '../../src/threads/route.js';
import { attachFrames, liveFrames } from './attach.js';
import { Deadlines } from './deadlines.js';
import type { SandboxHost } from './mcp/connection.js';
import { Sandboxes } from './mcp/sandboxes.js';
import { ToolArgs } from './mcp/tool-args.js';
import { buildToolSet } from './mcp/tool-names.js';
import type { AgentContract, AgentHostContract, AgentWorkerData, SessionInfo } from './messages.js';
import type { Model } from './model/model.js';
import { Outbox } from './outbox.js';
import { createPolicy } from './policy.js';
import type { Session } from './session.js';
import { noSuchSession, Sessions } from './sessions.js';
import { watchStore } from './store-health.js';
import type { AgentParts } from './turn.js';

/** Activity that no step writes (an attach, a read) moves the session's row at most this often. */
const TOUCH_INTERVAL_MS = 60_000;
const MAX_WAIT = Infinity;

export interface AgentThreadOptions {
  data: Pick<AgentWorkerData, 'config' | 'index' | 'threads'>;
  channel: Channel<AgentContract, AgentHostContract>;
  store: Store;
  model: Model;
  log: Logger;
  /** After `close`: nothing is left to do. */
  onClosed: () => void;
}

export function startAgentThread(options: AgentThreadOptions): void {
  const { channel, store, model, log, data } = options;
  const { config } = data;
  const host: SandboxHost = {
    lease: (request) => channel.request('lease-sandbox', request, { timeoutMs: MAX_WAIT, transfer: [request.port] }),
    hibernate: async (sandbox) =>
      void (await channel.request('hibernate-sandbox', { sandbox }, { timeoutMs: MAX_WAIT })),
    release: async (sandbox) => void (await channel.request('release-sandbox', { sandbox })),
  };
  let toolSet = buildToolSet({});
  const outbox = new Outbox((batch) => channel.notify('frames', { batch }));
  const parts: AgentParts = {
    config,
    model,
    policy: createPolicy(config.approvals),
    sandboxes: new Sandboxes(host, config, log),
    toolArgs: new ToolArgs(log),
    outbox,
    toolSet: () => toolSet,
  };
  const deadlines = new Deadlines(config.approvals.timeoutMs);
  const sessions = new Sessions({ store, parts, deadlines, log });
  const health = watchStore(store, log, (healthy) => channel.notify('health', { thread: data.index, store: healthy }));
  // The scripted model is named as such everywhere, whatever the configuration would ask a real one for.
  const defaultModel = model.provider === 'demo' ? 'demo' : config.model.name;
  let draining = false;

  const touch = async (session: Session): Promise<void> => {
    const now = Date.now();
    if (now - session.row.lastActiveAt < TOUCH_INTERVAL_MS) return;
    session.row.lastActiveAt = now;
    await store.touchSession(session.id, now);
  };

  const requests: RequestHandlers<AgentContract> = {
    'create-session': async ({ session, user, model: wanted }) => {
      refuseWhenDraining();
      const row = newRow(session, user, wanted ?? defaultModel);
      if (row.model !== defaultModel && !config.model.allow.includes(row.model)) {
        throw new FairleadError('ERR_MODEL_NOT_ALLOWED', `the model ${row.model} is not in model.allow`);
      }
      await store.createSession(row);
      return { session, model: row.model };
    },
    attach: ({ after, resumed, ...of }) =>
      sessions.with(of, async (session) => {
        await touch(session);
        return {
          frames: await attachFrames(session, store, parts, { resumed, ...(after === undefined ? {} : { after }) }),
        };
      }),
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
    'answer-elicitation': ({ requestId, ...of }) =>
      sessions.with(of, () => {
        throw new FairleadError('ERR_CALL_NOT_PENDING', `question ${requestId} is not waiting for an answer`);
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
    'get-session': (of) => sessions.with(of, (session) => infoOf(session)),
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
    'read-history': (of) =>
      sessions.with(of, async (session) => {
        await touch(session);
        return { transcript: await store.readHistory(session.id) };
      }),
    'set-catalogue': ({ catalogue }) => {
      toolSet = buildToolSet(catalogue);
      return null;
    },
    'sweep-sessions': ({ limit }) => sweep(limit),
    'missing-sessions': async ({ sessions: asked }) => {
      const rows = await Promise.all(asked.map((session) => store.readSession(session)));
      return { missing: asked.filter((_, index) => rows[index] === undefined) };
    },
    'hibernate-all': () => parts.sandboxes.hibernateAll(),
    'collect-metrics': async () => ({ metrics: await registry.getMetricsAsJSON() }),
    drain: async ({ graceMs }) => {
      draining = true;
      sessions.pauseNew();
      await drain(sessions, graceMs);
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
    try {
      await parts.sandboxes.releaseSession(session.id);
      await channel.request('release-session', { session: session.id });
      await store.deleteSession(session.id);
    } finally {
      sessions.forget(session); // not before: a message that comes meanwhile would open it again, and take a new sandbox
    }
    outbox.flush();
    channel.notify('session-gone', { session: session.id, closeCode: 4404, reason: 'the session was deleted' });
  }

  /** Each thread takes its own sessions, and checks each again on the row: it may have been used since the index was read. */
  async function sweep(limit: number): Promise<{ deleted: number }> {
    const before = Date.now() - config.store.sessionTtlMs;
    const ids = await store.expiredSessions(before, limit * data.threads);
    let deleted = 0;
    for (const id of ids) {
      if (threadOf(id, data.threads) !== data.index) continue;
      const user = (await store.readSession(id))?.user;
      if (user === undefined) {
        await store.deleteSession(id); // an index entry without its row
        continue;
      }
      await sessions.with({ session: id, user }, async (session) => {
        if (session.row.lastActiveAt >= before || session.running || session.waitsForApproval) return;
        await deleteSession(session);
        deleted++;
      });
    }
    return { deleted };
  }

  async function close(): Promise<void> {
    health.close();
    sessions.close();
    deadlines.close();
    outbox.flush();
    channel.close(); // settles the leases that nobody answers any more: what starts would be waited for below
    await parts.sandboxes.disconnect();
    await store.close();
    options.onClosed();
  }
}

/** Turns get their grace, then are interrupted; those that wait for a person are interrupted at once: nobody is left to answer. */
async function drain(sessions: Sessions, graceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([grace, Promise.all(sessions.all().map((session) => session.drain()))]);
  clearTimeout(timer);
  await Promise.all(sessions.all().map((session) => session.close('interrupted')));
}

function newRow(session: string, user: string, model: string): SessionRow {
  const now = Date.now();
  return {
    session,
    user,
    model,
    title: '',
    createdAt: now,
    lastActiveAt: now,
    seq: 0,
    turns: 0,
    openTurns: [],
    allowed: [],
  };
}

function summaryOf(row: SessionRow): Omit<SessionInfo, 'running' | 'pending'> {
  const { session, model, title, createdAt, lastActiveAt, seq, turns } = row;
  return { session, model, title, createdAt, lastActiveAt, seq, turns };
}

function infoOf(session: Session): SessionInfo {
  return { ...summaryOf(session.row), running: session.running, pending: session.pending() };
}
