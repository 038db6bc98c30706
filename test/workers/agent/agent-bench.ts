/** An agent thread behind a real MessageChannel, over a real LMDB store, with the test as its main thread. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import pino from 'pino';
import { parseConfig } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { registry } from '../../../src/shared/metrics.js';
import type { ServerEvent } from '../../../src/shared/protocol.js';
import { openStore } from '../../../workers/agent/store/open.js';
import { countingOf } from '../../../workers/agent/store/quota-counters.js';
import type { Store } from '../../../workers/agent/store/store.js';
import { ModelSlots } from '../../../src/shared/threads/model-slots.js';
import { ModelBroker } from '../../../src/threads/model-calls/model-broker.js';
import { Channel } from '../../../src/shared/threads/channel.js';
import { AgentThread } from '../../../workers/agent/thread/agent-thread.js';
import type { AgentContract, AgentHostContract } from '../../../workers/agent/contract/messages.js';
import type { McpStreamPart } from '../../../workers/agent/contract/mcp.js';
import type { AnswerApprovalRequest, SubmitMessageResult } from '../../../workers/agent/contract/sessions.js';
import type { StatFileRequest, StatFileResult } from '../../../workers/docker/contract/files.js';
import type { LeaseRequest, LeaseResult } from '../../../workers/docker/contract/messages.js';
import { HANDSHAKE, serveOnPort, type PortServer } from '../../helpers/port-mcp-server.js';
import { deferred, within, type Deferred } from '../../helpers/processes.js';
import { ScriptedModel } from './scripted-model.js';
import { createToolServer, ToolBox, TOOLS } from './test-tools.js';

export const OF = { user: 'user-1', session: 'session-1' };
export const OWNER = 'server-1';
const WAIT_MS = 30_000;
/** The test's server may ask the user, though it is in a sandbox. */
const ASKING = { workspace: { image: 'fairlead/workspace', elicitation: true, roots: true } };

type Requests = AgentContract['requests'];
export type Event = ServerEvent;
export type EventOf<T extends Event['type']> = Extract<Event, { type: T }>;

interface Teardown {
  teardown: (fn: () => Promise<void>) => unknown;
}

interface Agent {
  channel: Channel<AgentHostContract, AgentContract>;
  /** Ends the thread. With `cut` its last writes reach neither the store nor the test, as after a kill. */
  end: (cut: boolean) => Promise<void>;
}

export class AgentBench {
  readonly model = new ScriptedModel();
  readonly box = new ToolBox();
  readonly events: Event[] = [];
  readonly gone: { session: string; closeCode: number }[] = [];
  readonly reread: { session: string; seq: number }[] = [];
  readonly released: string[] = [];
  readonly replaced: string[] = [];
  readonly hibernated: string[] = [];
  readonly sandboxes: PortServer[] = [];
  readonly streamed: McpStreamPart[] = [];
  /** The thread's lines from warnings up, unless LOG_LEVEL has them printed. */
  readonly logged: Record<string, unknown>[] = [];
  /** Batches of frames as they crossed the thread. */
  batches = 0;
  /** Requests to the model that asked for their turn. */
  asks = 0;
  /** What a lease does instead of starting a sandbox. */
  onLease: ((request: LeaseRequest) => Promise<LeaseResult>) | undefined;
  /** What is asked of files in the workspace. */
  onStat: (request: StatFileRequest) => StatFileResult = ({ path }) => {
    throw new FairleadError('ERR_NO_SUCH_FILE', `there is no ${path}`);
  };
  readonly store: Store;
  readonly #json: Record<string, unknown>;
  readonly dir: string;
  readonly #waiting = new Set<() => void>();
  readonly slots = ModelSlots.create(1);
  readonly broker: ModelBroker;
  #agent: Agent | undefined;

  constructor(store: Store, dir: string, json: Record<string, unknown>) {
    this.store = store;
    this.dir = dir;
    this.#json = json;
    this.broker = new ModelBroker({
      slots: this.slots,
      maxCalls: () => parseConfig(json, {}, dir).limits.maxModelCalls,
      post: (_thread, news) => this.#agent?.channel.notify('model-calls', news),
    });
  }

  get running(): boolean {
    return this.#agent !== undefined;
  }

  request<K extends keyof Requests>(name: K, body: Requests[K]['request']): Promise<Requests[K]['result']> {
    if (!this.#agent) throw new Error('no agent runs');
    return this.#agent.channel.request(name, body, { timeoutMs: WAIT_MS });
  }

  say(text: string, id?: string): Promise<SubmitMessageResult> {
    return this.request('submit-message', { ...OF, content: [{ type: 'text', text }], ...(id ? { id } : {}) });
  }

  approve(callId: string, more: Partial<AnswerApprovalRequest> = {}): Promise<null> {
    return this.request('answer-approval', { ...OF, callId, approved: true, ...more });
  }

  /** The first matching event of that type, received already or still to come. */
  async event<T extends Event['type']>(
    type: T,
    match: (event: EventOf<T>) => boolean = () => true,
  ): Promise<EventOf<T>> {
    const find = (): EventOf<T> | undefined =>
      this.events.find((event): event is EventOf<T> => event.type === type && match(event as EventOf<T>));
    await this.until(
      () => find() !== undefined,
      () => `no ${type} came; there were ${this.types().join(' ')}`,
    );
    return find()!;
  }

  turnEnd(turn: number): Promise<EventOf<'turn:end'>> {
    return this.event('turn:end', (event) => event.turn === turn);
  }

  asked(callId: string): Promise<EventOf<'tool:approval_required'>> {
    return this.event('tool:approval_required', (event) => event.callId === callId);
  }

  /** Resolves when `holds`; checked at each frame and at each request to the test's main thread. */
  async until(holds: () => boolean, late: () => string): Promise<void> {
    if (holds()) return;
    const come = deferred<void>();
    const check = (): void => {
      if (holds()) come.resolve();
    };
    this.#waiting.add(check);
    try {
      await within(come.promise, WAIT_MS, late);
    } finally {
      this.#waiting.delete(check);
    }
  }

  types(): string[] {
    return this.events.map((event) => event.type);
  }

  /** Types of the durable events, which are in the order of their seqs. */
  durable(): (Event & { seq: number })[] {
    return this.events.filter(
      (event): event is Event & { seq: number } => 'seq' in event && event.type !== 'session:ready',
    );
  }

  attach(after?: number): Promise<Event[]> {
    return this.request('attach', { ...OF, resumed: true, ...(after === undefined ? {} : { after }) }).then(
      ({ frames }) => frames.map(({ json }) => JSON.parse(json) as Event),
    );
  }

  async start(): Promise<void> {
    this.#agent = await this.#start();
    await this.request('set-catalogue', { catalogue: { workspace: TOOLS } });
    await this.request('resume', {});
  }

  /** Like kill -9: the thread's work stops in the middle. */
  async crash(): Promise<void> {
    await this.#agent?.end(true);
    this.#agent = undefined;
    this.broker.threadEnded(0);
  }

  async stop(): Promise<void> {
    await this.#agent?.end(false);
    this.#agent = undefined;
    this.broker.threadEnded(0);
  }

  async #start(): Promise<Agent> {
    // Each real agent thread has a registry of its own.
    for (const name of [
      'fairlead_sessions_in_memory',
      'fairlead_turns_running',
      'fairlead_agent_sandboxes',
      'fairlead_agent_commands',
      'fairlead_served_mcp_sessions',
    ])
      registry.removeSingleMetric(name);
    const { port1, port2 } = new MessageChannel();
    const channel = new Channel<AgentHostContract, AgentContract>(port1);
    const ready = deferred<void>();
    const closed = deferred<void>();
    const life = { cut: false };
    channel.handle(
      {
        'lease-sandbox': (request) => (this.onLease ? this.onLease(request) : this.lease(request)),
        'keep-sandbox': () => null,
        'replace-sandbox': ({ sandbox }) => {
          this.replaced.push(sandbox);
          return { saved: true };
        },
        'hibernate-sandbox': ({ sandbox }) => {
          this.hibernated.push(sandbox);
          for (const check of this.#waiting) check();
          return null;
        },
        'exec-server': () => {
          throw new FairleadError('ERR_SANDBOX', 'nothing else runs in the sandboxes of this bench');
        },
        'release-sandbox': ({ sandbox }) => {
          this.#note(() => this.released.push(sandbox));
          return null;
        },
        'stat-file': (request) => this.onStat(request),
        'audit-stored': () => null,
        'mcp-stream': (part) => {
          this.#note(() => this.streamed.push(part));
          return { open: true };
        },
        'mcp-token': () => ({ until: 0 }),
        'mcp-login': () => {
          throw new FairleadError('ERR_MCP', 'nobody logs in on this bench');
        },
        'mcp-login-end': () => ({ ok: false, message: 'nobody logs in on this bench' }),
        'release-session': ({ session }) => {
          this.#note(() => this.released.push(session));
          return null;
        },
      },
      {
        ready: () => ready.resolve(),
        'start-failed': () => undefined,
        health: () => undefined,
        'model-health': () => undefined,
        'server-tools': () => undefined,
        'server-trouble': () => undefined,
        audit: () => undefined,
        frames: ({ batch }) => {
          if (life.cut) return;
          this.batches++;
          this.#note(() => {
            for (const { frames } of batch) this.events.push(...frames.map(({ json }) => JSON.parse(json) as Event));
          });
        },
        'session-seq': (noted) => this.#note(() => this.reread.push(noted)),
        'session-gone': (gone) => this.#note(() => this.gone.push(gone)),
        'model-ask': (asked) => {
          this.asks++;
          if (!life.cut) this.broker.ask(asked);
        },
        'model-leave': (left) => life.cut || this.broker.leave(left),
        'model-ended': (ended) => life.cut || this.broker.ended(ended),
        'model-refused': (refused) => life.cut || this.broker.refused(refused),
        'model-answered': (answered) => life.cut || this.broker.answered(answered),
      },
    );
    new AgentThread({
      data: {
        config: parseConfig(this.#json, {}, this.dir),
        index: 0,
        threads: 1,
        instance: OWNER,
        modelSlots: this.slots.memory,
      },
      channel: new Channel<AgentContract, AgentHostContract>(port2),
      store: cuttable(this.store, life),
      model: this.model,
      log: this.#log(),
      onClosed: () => closed.resolve(),
    }).serve();
    await ready.promise;
    return { channel, end: (cut) => endAgent({ channel, life, closed, ports: [port1, port2] }, cut) };
  }

  /** A sandbox as the docker thread would start it. */
  async lease({ port }: LeaseRequest): Promise<LeaseResult> {
    this.sandboxes.push(await serveOnPort(port, createToolServer(this.box)));
    this.#note(() => undefined);
    return { sandbox: `box-${this.sandboxes.length}`, handshake: HANDSHAKE, generation: 0, waitedMs: 1 };
  }

  #log(): pino.Logger {
    const level = process.env['LOG_LEVEL'];
    if (level !== undefined) return pino({ level });
    const write = (line: string): void => void this.logged.push(JSON.parse(line) as Record<string, unknown>);
    return pino({ level: 'warn' }, { write });
  }

  #note(change: () => unknown): void {
    change();
    for (const check of this.#waiting) check();
  }
}

interface Ending {
  channel: Agent['channel'];
  life: { cut: boolean };
  closed: Deferred<void>;
  ports: { close(): void }[];
}

async function endAgent({ channel, life, closed, ports }: Ending, cut: boolean): Promise<void> {
  life.cut = cut;
  channel.notify('close', {});
  await closed.promise;
  channel.close();
  for (const port of ports) port.close();
}

/** The real store until the cut; then no call reaches it and no result comes back. The bench closes it. */
function cuttable(store: Store, life: { cut: boolean }): Store {
  return new Proxy(store, {
    get(target, key) {
      if (key === 'close') return async () => undefined;
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]): Promise<unknown> => {
        if (life.cut) return new Promise(() => undefined);
        const result: unknown = await Reflect.apply(value, target, args);
        return life.cut ? new Promise(() => undefined) : result;
      };
    },
  });
}

/** Starts a bench with one session. */
export async function startBench(t: Teardown, settings: Record<string, unknown> = {}): Promise<AgentBench> {
  const json = { mcpServers: ASKING, ...settings };
  const dir = await mkdtemp(join(tmpdir(), 'fl-agent-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const config = parseConfig(json, {}, dir);
  const store = await openStore('lmdb', config, { owner: OWNER, counting: countingOf(config) });
  t.teardown(() => store.close());
  const bench = new AgentBench(store, dir, json);
  await bench.start();
  t.teardown(async () => {
    if (bench.running) await bench.request('drain', { graceMs: 0 });
    await bench.stop();
    for (const sandbox of bench.sandboxes) await sandbox.close();
  });
  await bench.request('create-session', OF);
  return bench;
}
