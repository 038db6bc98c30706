/** What the main thread may ask of an agent thread about sessions and their turns. Agent threads. */
import type { Loss, LossTold } from '../../docker/contract/messages.js';
import { audit, auditedAs, refuseUnaudited } from '../../../src/shared/audit.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { mayUseModel, modelRefusal } from '../../../src/shared/kept-for-groups.js';
import { standingOf, type Standing } from '../../../src/shared/person.js';
import { quotaOf } from '../../../src/shared/quotas.js';
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { AgentContract } from '../contract/messages.js';
import type { Asked, CreateSessionResult, ListedSession, SessionInfo, SessionRef } from '../contract/sessions.js';
import { passingFrame } from '../log/frames.js';
import { lossStep } from '../log/losses.js';
import { pendingOf, runningTurn } from '../log/progress.js';
import type { McpServers } from '../mcp/servers.js';
import { isSharedSession } from '../mcp/host/shared-sessions.js';
import { chooseImage, offeredImages } from '../turn/choose-image.js';
import { attachFrames, liveFrames, replayFrames } from '../session/attach.js';
import { readPage, readPiece } from '../session/history-reader.js';
import type { Session } from '../session/session.js';
import type { Sessions } from '../session/sessions.js';
import type { SessionRow, Store } from '../store/store.js';
import type { AgentParts } from '../turn/turn.js';
import { adminRequests } from './admin-requests.js';
import { auditedRequests, recordAct } from './audited-requests.js';
import { waitingRequests } from './waiting-requests.js';
import { workspaceRequests } from './workspace-requests.js';
import type { SessionExits } from './session-exits.js';

/** Activity that no step writes (an attach, a read) moves the session's row at most this often. */
const TOUCH_INTERVAL_MS = 60_000;

export interface SessionRequestsOptions {
  data: Pick<AgentWorkerData, 'config' | 'threads' | 'instance'>;
  store: Store;
  parts: AgentParts;
  sessions: Sessions;
  servers: Pick<McpServers, 'restartSandboxes' | 'holdWorkspace'>;
  exits: SessionExits;
}

export class SessionRequests {
  readonly #options: SessionRequestsOptions;
  #draining = false;

  constructor(options: SessionRequestsOptions) {
    this.#options = options;
  }

  /** The scripted model is named as such everywhere, whatever the configuration would ask a real one for. */
  get #defaultModel(): string {
    const { model, config } = this.#options.parts;
    return model.provider === 'demo' ? 'demo' : config.model.name;
  }

  /** From now on no session is created and no message accepted; or again. */
  drain(draining = true): void {
    this.#draining = draining;
  }

  /** ERR_DRAINING, ERR_MODEL_NOT_ALLOWED, ERR_STORE_CONFLICT when it exists, ERR_QUOTA. */
  async create(
    { user, session, who }: SessionRef & Asked,
    { model: wanted, image: wantedImage }: { model?: string; image?: string } = {},
  ): Promise<CreateSessionResult> {
    this.#refuseWhenDraining();
    refuseUnaudited();
    const { data, store } = this.#options;
    const standing = standingOf(who);
    const model = this.#modelFor(standing, wanted);
    const image = chooseImage(data.config.images, standing, wantedImage);
    const made = { session, model, ...(image !== undefined && { image }) };
    const { maxSessions } = quotaOf(data.config, { user, ...standing });
    await store.createSession(newRow({ ...made, user, owner: data.instance, who: standing }), maxSessions);
    audit({
      what: 'session_made',
      ...auditedAs(user, who),
      session,
      about: { model, ...(image !== undefined && { image }) },
    });
    return made;
  }

  /** Without a wish the first one that the user may use. A model that is kept for others is refused as one that is not there. */
  #modelFor(who: Standing, wanted: string | undefined): string {
    const { model: settings } = this.#options.data.config;
    const usable = [this.#defaultModel, ...settings.allow].filter((model) => mayUseModel(settings, model, who));
    const model = wanted === undefined ? usable[0] : usable.find((each) => each === wanted);
    if (model !== undefined) return model;
    const told = wanted === undefined ? 'there is no model that this user may use' : modelRefusal(wanted);
    throw new FairleadError('ERR_MODEL_NOT_ALLOWED', told);
  }

  /** Runs `work` while the session stays in memory, and counts as its use. ERR_NO_SUCH_SESSION. */
  use<T>(of: SessionRef, work: (session: Session) => Promise<T>): Promise<T> {
    return this.#options.sessions.with(of, async (session) => {
      await this.#touch(session.row);
      return work(session);
    });
  }

  handlers() {
    const { data, sessions, servers } = this.#options;
    const refuseWhenDraining = (): void => this.#refuseWhenDraining();
    return {
      ...auditedRequests(this.#handlers()),
      ...adminRequests(this.#options),
      ...waitingRequests(this.#options),
      ...workspaceRequests({ owner: data.instance, sessions, servers, refuseWhenDraining }),
    };
  }

  #handlers() {
    const { data, store, parts, sessions, servers, exits } = this.#options;
    return {
      'create-session': ({ model, image, ...of }) =>
        this.create(of, { ...(model && { model }), ...(image && { image }) }),
      'list-images': async ({ who }) => ({ images: offeredImages(data.config.images, standingOf(who)) }),
      attach: ({ after, resumed, who, ...of }) =>
        this.use(of, (session) =>
          attachFrames(session, store, parts, { resumed, who, ...(after === undefined ? {} : { after }) }),
        ),
      replay: async ({ after, ...of }) => {
        const { session, seq } = await sessions.read(of);
        const frames = await replayFrames(session, store, { after, seq });
        return frames ? { frames } : {};
      },
      'read-seqs': async ({ sessions: asked }) => ({ seqs: await store.readSeqs(asked) }),
      'catch-up': (of) =>
        sessions.with(of, (session) => {
          parts.outbox.flush();
          return { frames: liveFrames(session) };
        }),
      'submit-message': ({ id, requestId, content, who, ...of }) => {
        this.#refuseWhenDraining();
        const named = { ...(id === undefined ? {} : { id }), ...(requestId === undefined ? {} : { requestId }) };
        const from = { standing: standingOf(who), sender: auditedAs(of.user, who) };
        return sessions.submit(of, { content, ...from, ...named });
      },
      'answer-approval': (answer) => this.#do(answer, (session) => session.answer(answer)),
      'answer-elicitation': ({ user, session: id, who: _who, ...reply }) =>
        this.#do({ user, session: id }, (session) => session.answerQuestion(reply)),
      'note-loss': (loss) => this.#noteLoss(loss),
      'note-files': ({ changes, ...of }) =>
        this.#do(of, (session) => session.note(() => ({ events: [{ type: 'files:changed', changes }] }))),
      'claim-sockets': async ({ max, ...claim }) => {
        const over = await store.counters.claimSockets(claim, max);
        return over ? { over } : {};
      },
      'renew-sockets': async ({ server, claims }) => {
        await store.counters.renewSockets(server, claims);
        return null;
      },
      'note-saved': async ({ session, server, bytes }) => {
        await store.counters.noteSaved(session, server, bytes);
        return null;
      },
      'cancel-turn': (of) =>
        this.#do(of, async (session) => {
          const stopsOne = runningTurn(session.row) !== undefined;
          await session.cancel();
          if (stopsOne) recordAct('turn_cancelled', of);
        }),
      'reset-history': (of) => this.#do(of, (session) => session.reset()),
      'restart-sandbox': async ({ discard, who: _who, ...of }) => {
        await sessions.read(of);
        const restarted = await servers.restartSandboxes(of.session, 'its user has restarted it', discard);
        parts.outbox.push(of.session, passingFrame({ type: 'sandbox:restarted', restarted }));
        return { restarted };
      },
      'get-session': async (of) => infoOf(await sessions.read(of)),
      'list-sessions': async ({ user, limit, cursor }) => {
        const page = await store.listSessions(user, { limit, ...(cursor === undefined ? {} : { cursor }) });
        return { sessions: page.sessions.map(summaryOf), ...(page.next === undefined ? {} : { next: page.next }) };
      },
      'rename-session': async ({ title, who: _who, ...of }) => {
        // The session stays as recently used as it was.
        await this.#do(of, async ({ log }) => void (await log.commit(() => ({ events: [], row: { title } }))));
        return infoOf(await sessions.read(of));
      },
      'delete-session': (of) => this.#do(of, (session) => exits.delete(session)),
      'read-events': async ({ after, limit, ...of }) => {
        const { session } = await sessions.read(of);
        const { events } = await store.readEvents(session, after, limit);
        const last = events.length === limit ? events.at(-1) : undefined;
        return { lines: events.map(({ json }) => `${json}\n`).join(''), ...(last && { next: last.seq }) };
      },
      'read-history': async ({ place, quiet, ...of }) => {
        const row = await sessions.read(of);
        if (!quiet) await this.#touch(row);
        return readPiece(store, row.session, place);
      },
      'read-history-page': async ({ limit, before, ...of }) => {
        const row = await sessions.read(of);
        await this.#touch(row);
        return readPage(store, row.session, { limit, ...(before === undefined ? {} : { before }) });
      },
      'sweep-sessions': (request) => exits.sweep(request),
      'missing-sessions': async ({ sessions: asked }) => {
        const ids = asked.filter((session) => !isSharedSession(session, data.threads));
        const rows = await Promise.all(ids.map((session) => store.readSession(session)));
        return { missing: ids.filter((_, index) => rows[index] === undefined) };
      },
    } satisfies Partial<RequestHandlers<AgentContract>>;
  }

  async #do(of: SessionRef, work: (session: Session) => Promise<void>): Promise<null> {
    await this.#options.sessions.with(of, work);
    return null;
  }

  /** A session of another server is not taken over for it. */
  async #noteLoss(loss: Loss): Promise<LossTold> {
    const { data, store, sessions } = this.#options;
    const row = await store.readSession(loss.session);
    if (!row) return { told: true };
    if (row.owner !== data.instance) return { told: false };
    await sessions.with(row, (session) => session.note((known) => lossStep(known, loss)));
    return { told: true };
  }

  #refuseWhenDraining(): void {
    if (this.#draining)
      throw new FairleadError('ERR_DRAINING', 'the server takes nothing new: it drains or stops', {
        retryAfterMs: 5_000,
      });
  }

  async #touch(row: SessionRow): Promise<void> {
    const now = Date.now();
    if (now - row.lastActiveAt < TOUCH_INTERVAL_MS) return;
    row.lastActiveAt = now;
    await this.#options.store.touchSession(row.session, now);
  }
}

function newRow(
  of: Pick<SessionRow, 'session' | 'user' | 'model' | 'owner' | 'image'> & { who: Standing },
): SessionRow {
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
    history: { bytes: 0, messages: 0, clears: 0 },
  };
}

function summaryOf(row: SessionRow): ListedSession {
  const { session, model, image, title, createdAt, lastActiveAt, seq, turns } = row;
  const [running, waiting] = [runningTurn(row) !== undefined, pendingOf(row).length];
  const about = { session, model, ...(image !== undefined && { image }), title, createdAt, lastActiveAt, seq, turns };
  return { ...about, running, waiting };
}

function infoOf(row: SessionRow): SessionInfo {
  return { ...summaryOf(row), pending: pendingOf(row) };
}
