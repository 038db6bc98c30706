/** The agent's side of the contract in memory, behind a real MessagePort: what it answers and emits is the test's. */
import type { MessagePort } from 'node:worker_threads';
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent, Pending, ServerEvent, StreamingEvent, Usage } from '../../../src/shared/protocol.js';
import { Channel, type RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { McpStreamPart } from '../../../workers/agent/contract/mcp.js';
import type { AgentContract, AgentHostContract } from '../../../workers/agent/contract/messages.js';
import type { OutFrame, SessionInfo, SessionRef, SessionSize } from '../../../workers/agent/contract/sessions.js';

export const USAGE: Usage = { inputTokens: 1, outputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 0 };

/** As agent threads make frames. */
export function frameOf(event: ServerEvent): OutFrame {
  const { type, seq, turn } = { seq: 0, turn: undefined, ...event };
  return { json: JSON.stringify(event), seq, type, ...(turn === undefined ? {} : { turn }) };
}

interface TestSession {
  user: string;
  model: string;
  title?: string;
  seq: number;
  turns: number;
  log: OutFrame[];
  accepted: Map<string, number>;
  pending: Pending[];
  live: StreamingEvent[];
}

export class TestAgent {
  readonly restarts: object[] = [];
  readonly sessions = new Map<string, TestSession>();
  /** Every request that came. */
  readonly calls: { name: string; body: Record<string, unknown> }[] = [];
  /** Called for an accepted message, after its turn:start; ends the turn by itself unless replaced. */
  onMessage: (session: string, turn: number) => void = (session, turn) => this.finish(session, turn, 'hello');
  /** Requests that are answered otherwise. */
  readonly overrides = new Map<string, (body: Record<string, unknown>) => unknown>();
  readonly #channel: Channel<AgentContract, AgentHostContract>;
  readonly #watchers = new Set<() => void>();

  constructor(port: MessagePort) {
    this.#channel = new Channel(port);
    this.#channel.handle(this.#handlers(), {
      close: () => this.#channel.close(),
      'model-calls': () => undefined,
    });
  }

  close(): void {
    this.#channel.close();
  }

  make(session: string, user = 'local'): string {
    this.sessions.set(session, {
      user,
      model: 'test-model',
      seq: 0,
      turns: 0,
      log: [],
      accepted: new Map(),
      pending: [],
      live: [],
    });
    return session;
  }

  emit(session: string, ...events: DurableEvent[]): void {
    const state = this.sessions.get(session)!;
    const frames = events.map((event) => frameOf({ ...event, seq: ++state.seq }));
    state.log.push(...frames);
    this.#channel.notify('frames', { batch: [{ session, frames }] });
  }

  stream(session: string, ...events: StreamingEvent[]): void {
    const frames = events.map(frameOf);
    this.#channel.notify('frames', { batch: [{ session, frames }] });
  }

  finish(session: string, turn: number, text: string): void {
    this.emit(
      session,
      { type: 'text', turn, block: 0, text },
      { type: 'turn:end', turn, stopReason: 'end_turn', usage: USAGE, ms: 1, model: 'test-model' },
    );
  }

  /** A part of the answer to a request to /mcp. */
  streamMcp(part: McpStreamPart): Promise<{ open: boolean }> {
    return this.#channel.request('mcp-stream', part);
  }

  gone(session: string): void {
    this.#channel.notify('session-gone', { session, closeCode: 4404, reason: 'the session was deleted' });
  }

  /** Resolves when `name` has been asked `count` times. */
  async asked(name: string, count = 1): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.calls.filter((call) => call.name === name);
      if (found.length >= count) return found[count - 1]!.body;
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  #of({ user, session }: SessionRef): TestSession {
    const state = this.sessions.get(session);
    if (state?.user !== user) throw new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
    return state;
  }

  #handlers(): RequestHandlers<AgentContract> {
    const handlers: RequestHandlers<AgentContract> = {
      'hold-workspace': (of) => {
        this.#of(of);
        return { server: of.server ?? 'workspace', hold: 'held' };
      },
      'release-workspace': () => null,
      'note-files': () => null,
      'create-session': ({ session, user, model }) => {
        if (model === 'forbidden') throw new FairleadError('ERR_MODEL_NOT_ALLOWED', 'not in model.allow');
        this.make(session, user);
        return { session, model: model ?? 'test-model' };
      },
      'list-images': () => ({ images: [{ name: 'full', description: 'all of it', default: true }] }),
      attach: ({ after, resumed, who, ...of }) => {
        const state = this.#of(of);
        if (after !== undefined && after > state.seq) throw new FairleadError('ERR_BAD_FRAME', 'ahead of the log');
        const ready: ServerEvent = {
          type: 'session:ready',
          session: of.session,
          seq: state.seq,
          resumed,
          model: state.model,
          pending: state.pending,
          limits: { maxFrameBytes: 1_048_576, maxInFlight: 5 },
          user: of.user,
          role: who?.role ?? 'user',
        };
        return {
          seq: state.seq,
          frames: [
            { ...frameOf(ready), seq: 0 },
            ...(after === undefined ? [] : state.log.filter(({ seq }) => seq > after)),
            ...state.live.map(frameOf),
          ],
        };
      },
      replay: ({ after, ...of }) => {
        const frames = this.#of(of).log.filter(({ seq }) => seq > after);
        return frames[0]?.seq === after + 1 ? { frames } : {};
      },
      'read-seqs': ({ sessions }) => ({ seqs: sessions.map((session) => this.sessions.get(session)?.seq ?? 0) }),
      resume: () => ({ sessions: 0 }),
      'catch-up': (of) => ({ frames: this.#of(of).live.map(frameOf) }),
      'submit-message': ({ id, ...of }) => {
        const state = this.#of(of);
        const before = id === undefined ? undefined : state.accepted.get(id);
        if (before !== undefined) return { turn: before, queued: 0, duplicate: true };
        const turn = ++state.turns;
        if (id !== undefined) state.accepted.set(id, turn);
        const accepted = { type: 'message:accepted' as const, ...(id === undefined ? {} : { id }), turn, queued: 0 };
        this.emit(of.session, accepted, { type: 'turn:start', turn });
        this.onMessage(of.session, turn);
        return { turn, queued: 0, duplicate: false };
      },
      'answer-approval': ({ callId, ...of }) => {
        const state = this.#of(of);
        if (!state.pending.some((item) => item.kind === 'approval' && item.callId === callId)) {
          throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${callId} is not pending`);
        }
        state.pending = [];
        this.emit(of.session, { type: 'tool:approved', callId, by: 'user' });
        return null;
      },
      'answer-elicitation': ({ requestId, ...of }) => {
        this.#of(of);
        throw new FairleadError('ERR_CALL_NOT_PENDING', `question ${requestId} is not pending`);
      },
      'note-loss': () => ({ told: true }),
      'note-saved': () => null,
      'claim-sockets': () => ({}),
      'renew-sockets': () => null,
      'cancel-turn': (of) => this.#nothing(of),
      'restart-sandbox': (of) => {
        this.#of(of);
        this.restarts.push(of);
        return { restarted: 1 };
      },
      'reset-history': (of) => {
        this.#of(of);
        this.emit(of.session, { type: 'history:cleared' });
        return null;
      },
      'rename-session': ({ title, ...of }) => {
        const state = this.#of(of);
        state.title = title;
        return { ...summary(of.session, state), pending: [] };
      },
      'get-session': (of) => ({ ...summary(of.session, this.#of(of)), pending: [] }),
      'list-waiting': () => ({ waiting: [] }),
      'read-call': (of) => {
        this.#of(of);
        throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${of.callId} is not waiting for an answer`);
      },
      'list-sessions': ({ user, limit, cursor }) => {
        const all = [...this.sessions].filter(([, state]) => state.user === user);
        const from = Number(cursor ?? 0);
        const sessions = all.slice(from, from + limit).map(([id, state]) => summary(id, state));
        return { sessions, ...(all.length > from + limit ? { next: String(from + limit) } : {}) };
      },
      'delete-session': (of) => {
        this.#of(of);
        this.sessions.delete(of.session);
        this.gone(of.session);
        return null;
      },
      'read-history': (of) => {
        this.#of(of);
        return { bytes: new Uint8Array() };
      },
      'read-events': (of) => {
        this.#of(of);
        return { lines: '' };
      },
      'read-history-page': (of) => {
        this.#of(of);
        return { json: '[]', first: 0 };
      },
      'set-catalogue': () => null,
      'set-blocked': () => ({ left: 0 }),
      'refresh-server': () => null,
      'mcp-status': () => ({ health: {}, own: [] }),
      'read-usage': () => ({ currency: 'USD', rows: [] }),
      'user-facts': () => ({ sessions: 0, workspaceBytes: 0, historyBytes: 0, hasUsed: false }),
      'forget-user': () => null,
      'list-users': () => ({ users: [] }),
      'budgets-left': () => ({ budgets: [] }),
      'mcp-test': () => ({ latencyMs: 1, era: 'modern' }),
      'mcp-request': ({ method }) => ({ method }),
      'mcp-forget': () => null,
      'mcp-exchange': ({ exchange: _exchange, ...request }) => ({
        status: 200,
        headers: [['content-type', 'application/json']],
        body: JSON.stringify(request),
      }),
      'mcp-abort': () => null,
      'mcp-token': () => ({ until: 0 }),
      'mcp-login': () => ({ flow: '1', url: 'https://login.test/', issuer: 'https://login.test', endsAt: 1 }),
      'mcp-login-end': () => ({ ok: true }),
      'mcp-login-page': () => null,
      'mcp-login-begin': () => null,
      'mcp-callback': () => ({ ok: true }),
      'mcp-logout': () => ({ revoked: true }),
      'credential-changes': () => ({ entries: [], next: 0, more: false }),
      'write-credential': () => ({ outcome: 'written' }),
      'remove-credential': () => ({ removed: true }),
      'note-credential-uses': () => null,
      'all-sessions': () => ({ sessions: [] }),
      'session-size': ({ session }) => this.#sizeOf(session),
      'tell-look': () => null,
      'end-session': ({ session }) => ({ turns: this.#sizeOf(session).queued }),
      'sweep-sessions': () => ({ deleted: 0 }),
      'collect-metrics': () => ({ metrics: [] }),
      'missing-sessions': () => ({ missing: [] }),
      'hibernate-all': () => ({ hibernated: 0, failed: 0 }),
      drain: () => null,
      rest: () => ({ busy: [] }),
      wake: () => null,
      'work-left': () => ({ turns: 0, calls: 0 }),
      'set-config': () => null,
    };
    return this.#recorded(handlers);
  }

  #sizeOf(session: string): SessionSize {
    const found = this.sessions.get(session);
    if (!found) throw new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
    const { user, model, turns } = found;
    const state = { running: false, queued: 0, pending: 0, server: 'here' };
    return { session, user, model, createdAt: 1, lastActiveAt: 2, turns, ...state };
  }

  #nothing(of: SessionRef): null {
    this.#of(of);
    return null;
  }

  #recorded(handlers: RequestHandlers<AgentContract>): RequestHandlers<AgentContract> {
    const entries = Object.entries(handlers).map(([name, handler]) => [
      name,
      async (body: never) => {
        this.calls.push({ name, body });
        for (const watcher of this.#watchers) watcher();
        const override = this.overrides.get(name);
        return override ? await override(body) : await (handler as (body: never) => unknown)(body);
      },
    ]);
    return Object.fromEntries(entries) as RequestHandlers<AgentContract>;
  }
}

function summary(session: string, state: TestSession): Omit<SessionInfo, 'pending'> {
  const { model, title = '', seq, turns } = state;
  return { session, model, title, createdAt: 1, lastActiveAt: 1, seq, turns, running: false, waiting: 0 };
}
