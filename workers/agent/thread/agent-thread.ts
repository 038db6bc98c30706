/** An agent thread behind its port: its parts, what it serves, its drain and its end. It takes a channel, so a test can hold the other end. */
import { audit, auditedAs, flushAudit } from '../../../src/shared/audit.js';
import { errorToData } from '../../../src/shared/errors.js';
import { liveView } from '../../../src/shared/live-view.js';
import type { Logger } from '../../../src/shared/log.js';
import { registry } from '../../../src/shared/metrics.js';
import { LiveSettings } from '../../../src/shared/live-settings.js';
import { changedImages } from '../../../src/shared/config-images.js';
import { serverChanges } from '../../../src/shared/server-changes.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import type { Channel, RequestHandlers } from '../../../src/shared/threads/channel.js';
import { threadOf } from '../../../src/shared/threads/route.js';
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { AgentContract, AgentHostContract } from '../contract/messages.js';
import { ModelSlots } from '../../../src/shared/threads/model-slots.js';
import { Meter } from '../budget/meter.js';
import { Images } from '../images/images.js';
import { Outbox } from '../log/outbox.js';
import { ForeignSchemas } from '../schema/foreign-schemas.js';
import { createPolicy } from '../mcp/calls/policy.js';
import { ToolArgs } from '../mcp/calls/tool-args.js';
import { withoutUrlServers, type CreateUrlPart } from '../mcp/url-servers.js';
import type { Model } from '../model/model.js';
import { ModelPlaces } from '../model/model-places.js';
import { servingRequests } from '../serve/requests.js';
import { ServingDoor } from '../serve/serving-door.js';
import { BlockedTurns } from '../session/blocked-turns.js';
import { BlockedUsers, refusingBlocked } from '../session/blocked-users.js';
import { WakeUps } from '../session/wake-ups.js';
import { Sessions } from '../session/sessions.js';
import { watchStore } from '../session/store-health.js';
import type { Store } from '../store/store.js';
import type { AgentParts } from '../turn/turn.js';
import { AgentMcp } from './agent-mcp.js';
import { credentialRequests } from './credential-requests.js';
import { SessionExits } from './session-exits.js';
import { SessionRequests } from './session-requests.js';
import { usageRequests } from './usage-requests.js';
import { UserDirectory } from './user-directory.js';
import { userRequests } from './user-requests.js';

const NOBODY: ReadonlySet<string> = new Set();

export interface AgentThreadOptions {
  /** Absent: the configuration of `data` counts until `set-config`. */
  live?: LiveSettings;
  data: Pick<AgentWorkerData, 'config' | 'index' | 'threads' | 'instance' | 'modelSlots' | 'slots'>;
  channel: Channel<AgentContract, AgentHostContract>;
  store: Store;
  model: Model;
  log: Logger;
  /** Absent: the configuration has no `url` servers. */
  createUrlPart?: CreateUrlPart;
  /** After `close`: nothing is left to do. */
  onClosed: () => void;
}

export class AgentThread {
  readonly #options: AgentThreadOptions;
  readonly #outbox: Outbox;
  readonly #meter: Meter;
  readonly #mcp: AgentMcp;
  readonly #sessions: Sessions;
  readonly #serving: ServingDoor;
  readonly #requests: SessionRequests;
  readonly #wakeUps: WakeUps;
  readonly #schemas: ForeignSchemas;
  readonly #images: Images;
  readonly #places: ModelPlaces;
  readonly #health: { close(): void };
  readonly #blocked = new BlockedUsers();
  readonly #blockedTurns: BlockedTurns;
  readonly #live: LiveSettings;
  readonly #directory: UserDirectory;

  constructor(options: AgentThreadOptions) {
    this.#options = options;
    const { channel, store, model, log, createUrlPart = withoutUrlServers } = options;
    const { live = new LiveSettings(options.data.config) } = options;
    this.#live = live;
    const config = live.view;
    const data = { ...options.data, config };
    const { index, threads, instance } = data;
    const outbox = new Outbox((batch) => channel.notify('frames', { batch }));
    this.#outbox = outbox;
    this.#schemas = new ForeignSchemas({ log });
    this.#images = new Images({ log });
    const policy = createPolicy(config, this.#schemas);
    this.#places = new ModelPlaces({
      thread: index,
      slots: new ModelSlots(data.modelSlots),
      limits: liveView(['maxModelCalls', 'modelWaitMs'], () => config.limits),
      host: {
        ask: (asked) => channel.notify('model-ask', asked),
        leave: (left) => channel.notify('model-leave', left),
        ended: (ended) => channel.notify('model-ended', ended),
        refused: (refused) => channel.notify('model-refused', refused),
        answered: (answered) => channel.notify('model-answered', answered),
      },
    });
    this.#mcp = new AgentMcp({ data, policy, store, channel, createUrlPart, log });
    const { servers, catalogue } = this.#mcp;
    this.#meter = new Meter({ config, ledger: store.ledger, model, log });
    live.onChange(({ mcpServers, images }, before) => {
      policy.applyConfig();
      this.#meter.applyConfig();
      this.#mcp.applyConfig(serverChanges(before.mcpServers, mcpServers), changedImages(before.images, images));
    });
    const parts: AgentParts = {
      config,
      model,
      places: this.#places,
      meter: this.#meter,
      policy,
      servers,
      schemas: this.#schemas,
      toolArgs: new ToolArgs(this.#schemas),
      outbox,
      images: this.#images,
      statFile: (of, timeoutMs) => channel.request('stat-file', of, { timeoutMs }),
      toolSet: (caller) => catalogue.toolSet(caller),
      catalogue,
    };
    this.#sessions = new Sessions({
      store,
      parts,
      log,
      owner: instance,
      onMoved: (session, why) => void exits.leave(session, why),
      onReread: (session, seq) => channel.notify('session-seq', { session, seq }),
      isBlocked: (user) => this.#blocked.has(user),
    });
    const sessions = this.#sessions;
    this.#serving = new ServingDoor({
      agent: parts,
      log,
      stream: (part) => channel.request('mcp-stream', part),
      withSession: (of, work) => this.#requests.use(of, ({ row }) => work(row)),
      takeLosses: (of, server) =>
        sessions
          .with(of, (session) => session.takeLossNotes(server))
          .catch((error: unknown) => {
            // A result is worth more than this sentence, which the next one then has.
            log.warn({ ...of, err: errorToData(error).message }, 'lost files are not told with this result');
            return [];
          }),
      createSession: async (of) => void (await this.#requests.create(of)),
      deleteSession: async (of) => {
        await sessions.with(of, (session) => exits.delete(session));
        audit({ what: 'session_deleted', ...auditedAs(of.user, of.who), session: of.session });
      },
    });
    const { usage } = this.#meter;
    const serving = this.#serving;
    const exits = new SessionExits({ data, channel, store, sessions, serving, servers, usage, outbox, log });
    this.#requests = new SessionRequests({ data, store, parts, sessions, servers, exits });
    const isMine = (session: string): boolean => threadOf(session, threads) === index;
    this.#blockedTurns = new BlockedTurns({ blocked: this.#blocked, sessions, store, owner: instance, isMine, log });
    this.#directory = new UserDirectory({ store, log });
    this.#wakeUps = new WakeUps({ store, isMine, wake: (session) => sessions.wake(session), log });
    this.#health = watchStore(store, log, (healthy, why) =>
      channel.notify('health', { thread: index, store: healthy, ...(why !== undefined && { why }) }),
    );
  }

  /** Answers from now on. */
  serve(): void {
    const { channel } = this.#options;
    channel.handle(this.#handlers(), {
      close: () => void this.#close(),
      'model-calls': (news) => this.#places.note(news),
    });
    channel.notify('ready', {});
  }

  #handlers(): RequestHandlers<AgentContract> {
    const mcp = this.#mcp.handlers((of) => this.#sessions.read(of));
    const { store } = this.#options;
    const starting = { ...this.#requests.handlers(), ...mcp, ...servingRequests(this.#serving) };
    return {
      ...refusingBlocked(starting, this.#blocked),
      ...credentialRequests(store.credentials),
      ...usageRequests(this.#meter, store.ledger),
      ...userRequests({ store, directory: this.#directory, meter: this.#meter, config: this.#live.view }),
      'sweep-sessions': async (request) => {
        if (this.#options.data.index === 0) await this.#directory.sweep();
        return starting['sweep-sessions'](request);
      },
      'set-config': async ({ generation, config, places }) => {
        const { slots } = this.#options.data;
        if (slots && places) slots.places = places;
        await this.#live.set(generation, config);
        this.#serving.toolsChanged();
        return null;
      },
      'set-catalogue': async (request) => {
        await mcp['set-catalogue'](request);
        this.#serving.toolsChanged();
        return null;
      },
      'set-blocked': async ({ users }) => {
        const fresh = this.#blocked.replace(users);
        this.#serving.stopUsers(fresh);
        // Before `resume` nothing of an earlier run is in memory, and what is woken then is stopped then.
        return { left: await this.#blockedTurns.stop(this.#wakeUps.running ? fresh : NOBODY) };
      },
      resume: async () => ({ sessions: await this.#wakeUps.start() }),
      'hibernate-all': () => this.#mcp.servers.hibernateAll(),
      'collect-metrics': async () => ({ metrics: await registry.getMetricsAsJSON() }),
      rest: () => {
        this.#requests.drain();
        const rested = (session: string): void => this.#tellRested(session);
        return { busy: this.#sessions.rest(rested) };
      },
      wake: async () => {
        this.#requests.drain(false);
        this.#sessions.wakeAll();
        await this.#blockedTurns.stop(NOBODY); // whoever was blocked meanwhile has turns in line
        await this.#wakeUps.again();
        return null;
      },
      'work-left': () => ({ turns: this.#sessions.working, calls: this.#serving.calls }),
      drain: async ({ graceMs }) => {
        await this.#drain(graceMs);
        return null;
      },
    };
  }

  #tellRested(session: string): void {
    this.#outbox.flush(); // the end of its turn comes first
    const reason = 'the server drains: come back with after';
    this.#options.channel.notify('session-gone', { session, closeCode: CLOSE.draining, reason });
  }

  async #drain(graceMs: number): Promise<void> {
    this.#requests.drain();
    this.#wakeUps.close();
    await Promise.all([this.#sessions.drain(graceMs), this.#serving.drain(AbortSignal.timeout(graceMs))]);
    this.#outbox.flush();
  }

  async #close(): Promise<void> {
    const { channel, store, onClosed } = this.#options;
    this.#health.close();
    this.#mcp.close();
    this.#wakeUps.close();
    this.#sessions.close();
    this.#places.close();
    await this.#serving.close();
    this.#outbox.flush();
    flushAudit();
    channel.close(); // rejects open leases: disconnect would wait for sandboxes that are still starting
    await this.#mcp.servers.disconnect();
    this.#schemas.close();
    this.#images.close();
    await this.#meter.close();
    await store.close();
    onClosed();
  }
}
