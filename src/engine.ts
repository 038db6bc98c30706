/** The composition root: opens the parts in the order of the boot and closes them in the reverse order. Main thread. */
import { availableParallelism } from 'node:os';
import { Acts } from './admin/acts.js';
import { AdminDesk } from './admin/desk.js';
import { Drain } from './admin/drain.js';
import { Eraser } from './admin/eraser.js';
import { Erasures } from './admin/erasures.js';
import { UserExports } from './admin/export/user-export.js';
import { Here } from './admin/here.js';
import { noProxy, openAccess, type Access } from './boot/access.js';
import { agentHost } from './boot/agent-host.js';
import { openAuditLog } from './boot/audit-log.js';
import { BlockedThreads } from './boot/blocked-threads.js';
import { AllAgents, SANDBOXES_DEADLINE_MS } from './boot/all-agents.js';
import { allMetrics, sandboxCounts, scrape } from './boot/all-metrics.js';
import { openBrowserAccess } from './boot/browser-access.js';
import { ImageServers } from './boot/catalogue.js';
import { openDataDir } from './boot/data-dir.js';
import { createFront, type Front } from './boot/front.js';
import { LiveConfig, type ReloadReport } from './boot/live-config.js';
import { forThreads, liveParts, unsafeHere } from './boot/live-parts.js';
import { startJanitor } from './boot/janitor.js';
import { ModelWatch } from './boot/model-watch.js';
import { Outages } from './boot/outages.js';
import { chooseParts, type Parts } from './boot/parts.js';
import { Readiness } from './boot/readiness.js';
import { McpPins, type McpPinsOptions } from './boot/mcp-pins.js';
import { PinFile } from './boot/pin-file.js';
import { ServerBook } from './boot/server-book.js';
import type { Service } from './boot/service-manager.js';
import { StartWaits } from './boot/start-waits.js';
import { engineStatus } from './boot/status.js';
import { CONSOLE_FOLDER, readConsole } from './front/console-files.js';
import { SocketClaims } from './front/socket-claims.js';
import { Credentials } from './credentials/credentials.js';
import type { Config } from './shared/config.js';
import { FairleadError } from './shared/errors.js';
import type { Logger } from './shared/log.js';
import { CLOSE } from './shared/protocol.js';
import { isUrlServer, serversOf } from './shared/config-mcp.js';
import { watchThread } from './shared/metrics.js';
import { DOCKER_SLOT, LoopWatch } from './shared/threads/loop-watch.js';
import { ModelSlots } from './shared/threads/model-slots.js';
import { ModelBroker } from './threads/model-calls/model-broker.js';
import { AgentPool } from './threads/agent-pool.js';
import { openDockerPool, type DockerPool } from './threads/docker-pool.js';

/** How long an agent thread has to close its store. */
const CLOSE_DEADLINE_MS = 5_000;
/** Times the hang limit, since ending the docker thread costs everybody's tool calls, an agent thread only its sessions'. */
const DOCKER_PATIENCE = 2;

/** Why a user is kept out who is on their way out. */
const BEING_DELETED = 'this user is being deleted';

export interface Engine extends Service {
  parts: Parts;
  access: Access;
  /** A new link that logs a browser in once as the owner; undefined where the data folder's token does not count. */
  makeLoginLink(): string | undefined;
  /** Reads the configuration file again. ConfigError: nothing has changed. */
  reload(): Promise<ReloadReport>;
  /** How many tools the configured servers have. */
  tools: number;
  /** Drains, then closes everything. Called twice, it joins the stop under way. */
  stop(): Promise<void>;
}

/** The steps of the stop. They run in the reverse order, also when a later part fails to start. */
class StopSteps {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) await step();
  }
}

export interface StartOptions {
  /** Ends a start that waits for a part: `startEngine` rejects with its reason. */
  signal: AbortSignal;
  /** Reads the configuration file again; throws ConfigError. Absent: nothing changes. */
  reread?: () => Promise<Config>;
  /** The start waits for a part that does not answer. The server listens by then, and answers probes alone. */
  onWait: (service: Service) => void;
}

/** ERR_START names the part that cannot be used and says what to do. One that may be back at any moment is waited for. */
export async function startEngine(config: Config, log: Logger, options: StartOptions): Promise<Engine> {
  const onStop = new StopSteps();
  try {
    return await boot(config, log, options, onStop);
  } catch (error) {
    await onStop.run();
    throw error;
  }
}

async function boot(first: Config, log: Logger, options: StartOptions, onStop: StopSteps): Promise<Engine> {
  const live = new LiveConfig(first, {
    read: options.reread ?? (async () => first),
    refuse: (next) => unsafeHere(next, chosen.sandbox.driver),
    log,
  });
  const config = live.view;
  const data = await openDataDir(config.dataDir);
  onStop.add(() => data.release());
  const auditLog = openAuditLog(config, log);
  onStop.add(() => auditLog.close());
  const chosen = chooseParts(config);
  const access = openAccess(config);
  const metrics = watchThread('main');
  onStop.add(() => metrics.close());
  const threads = config.agents.threads || Math.max(1, availableParallelism() - 1);
  const loops = new LoopWatch({ threads, hangTimeoutMs: config.agents.hangTimeoutMs });
  onStop.add(() => loops.close());

  const slots = ModelSlots.create(threads);
  const workerData = {
    config: () => forThreads(live.current),
    instance: data.instance,
    threads,
    store: chosen.store.kind,
    model: chosen.model.kind,
    modelSlots: slots.memory,
  };
  const agents = new AgentPool(workerData, log, loops); // no thread runs before `start`
  const broker = new ModelBroker({
    slots,
    maxCalls: () => config.limits.maxModelCalls,
    post: (thread, news) => agents.notify(thread, 'model-calls', news),
  });
  onStop.add(() => broker.close());
  const all = new AllAgents(agents, log);
  const outages = new Outages(log);
  const readiness = new Readiness(agents, () => auditLog.reasons(), outages);
  const pinFile = new PinFile(config.dataDir);
  const book = new ServerBook(
    config,
    (published) => void all.publish(published),
    () => pinFile.pins,
  );
  const publish = (): Promise<void> => all.publish(book.published());
  const toolsOf: McpPinsOptions['toolsOf'] = async (server, { user, who }) =>
    book.isPerUser(server) ? book.ownToolsOf(server, await all.mcpStatus(user, who)) : book.toolsOf(server);
  const pins = new McpPins({ config, file: pinFile, toolsOf, isPerUser: (server) => book.isPerUser(server), publish });
  let docker: DockerPool | undefined;
  const browsers = openBrowserAccess({
    config,
    access,
    site: () => front.site(),
    close: (ends) => front.endCredentials(ends, CLOSE.unauthorized, 'this browser has logged out'),
    keep: (entry) => credentials.mirror.write(entry),
  });
  const here = new Here({
    instance: data.instance,
    agents,
    close: (ends, code, reason) => front.endCredentials(ends, code, reason),
  });
  const acts = new Acts({
    mirror: () => credentials.mirror,
    isHere: (session) => here.has(session),
    perform: (act) => here.perform(act),
    log,
  });
  const keptOut = (): string[] => [...credentials.blocked.names(), ...erasures.all().map(([user]) => user)];
  const blockedThreads = new BlockedThreads({ agents, users: keptOut, log });
  onStop.add(() => blockedThreads.close());
  const erasures: Erasures = new Erasures((fresh) => {
    void blockedThreads.tell();
    front.endCredentials(({ user }) => fresh.has(user), CLOSE.blocked, BEING_DELETED);
  });
  const credentials: Credentials = new Credentials({
    agents,
    log,
    views: [acts, erasures, ...(browsers ? [browsers.browsers.ended] : [])],
    isolated: () => chosen.sandbox.driver === 'docker',
    onState: (reason) => readiness.credentialsState(reason),
    onRevoked: (ends) => front.endCredentials(ends, CLOSE.unauthorized, 'the token was revoked'),
    keptOut: (user) => (erasures.has(user) ? new FairleadError('ERR_BLOCKED', BEING_DELETED) : undefined),
    onBlocked: (fresh) => {
      void blockedThreads.tell();
      return front.endCredentials(({ user }) => fresh.has(user), CLOSE.blocked, 'this user is blocked');
    },
  });
  const desk = new AdminDesk({ here, acts });
  const eraser = new Eraser({
    instance: data.instance,
    erasures,
    credentials: () => credentials,
    agents,
    desk,
    servers: () => serversOf(config.mcpServers, isUrlServer).map(([name]) => name),
    forgetLogin: (of) => all.forgetLogin(of),
    forgetUser: (user) => all.forgetUser(user),
    log,
  });
  const exports = new UserExports({
    agents,
    docker: () => docker,
    credentials: () => credentials,
    desk,
    instance: data.instance,
    dataDir: config.dataDir,
    keepDays: () => config.usage.keepDays,
    log,
  });
  await exports.clean();
  const drain = new Drain({
    threads: all,
    front: {
      refuseNew: (refused) => front.refuseNew(refused),
      closeResting: (isBusy) => front.closeResting(isBusy),
      counts: () => ({ connections: front.counts().connections }),
    },
    tell: (draining) => readiness.rests(draining),
    log,
  });
  const front: Front = createFront({
    config,
    ...(browsers && { browsers }),
    console: readConsole(CONSOLE_FOLDER),
    agents,
    log,
    auth: access.auth,
    credentials,
    desk,
    eraser,
    erasures,
    exports,
    drain,
    docker: () => docker,
    noProxy: noProxy(config, chosen.sandbox.driver),
    readiness: () => readiness.read(),
    notServing: () => readiness.refusal(),
    claims: socketClaims(config, { agents, instance: data.instance, shared: chosen.store.kind === 'redis', log }),
    metrics: () => scrape(docker, all),
    status: () =>
      engineStatus({
        readiness: () => readiness.read(),
        outages,
        threads: agents,
        parts: chosen,
        metrics: () => allMetrics(docker, all),
      }),
    sandboxes: () => sandboxCounts(docker),
    mcp: {
      health: async (user, who) => book.health(await all.mcpStatus(user, who), who),
      refresh: (server) => void all.refresh(server),
    },
    pins,
    reload: (by) => live.reload(by),
    forgetLogin: (of) => all.forgetLogin(of),
  });
  onStop.add(() => front.close()); // where it listens early: in a whole stop it has closed by then
  let listening: Promise<string> | undefined;
  const listen = (): Promise<string> => (listening ??= front.listen().then(({ url }) => url));
  const service = { readiness: () => readiness.read(), healthy: () => loops.healthy };

  const model = new ModelWatch({
    anthropic: config.anthropic,
    proxies: config.proxies,
    log,
    onState: (reason) => readiness.modelHealth(reason),
  });
  onStop.add(() => model.close());
  const modelAsked = chosen.model.kind === 'demo' ? undefined : model.start(); // while the threads start
  let waited = false;
  const waits = new StartWaits({
    config,
    parts: chosen,
    log,
    readiness,
    signal: options.signal,
    listen: async () => {
      const url = await listen();
      if (!waited) options.onWait({ url, ...service });
      waited = true;
    },
  });
  const parts = await waits.all();

  docker = openDockerPool({
    config,
    newest: () => ({ generation: live.generation, config: forThreads(live.current) }),
    instance: data.instance,
    driver: parts.sandbox.driver,
    log,
    closeTimeoutMs: SANDBOXES_DEADLINE_MS,
    fillPoolsAfter: readiness.whenBooted, // containers that start take the processors from the boot
    missingSessions: (sessions) => agents.request(sessions[0] ?? '', 'missing-sessions', { sessions }),
    tellLoss: (loss) => agents.request(loss.session, 'note-loss', loss),
    noteSaved: async (saves) =>
      void (await Promise.all(saves.map((save) => agents.request(save.session, 'note-saved', save)))),
    onBreaker: (state) => readiness.dockerBreaker(state),
  });
  const sandboxes = docker;
  onStop.add(() => sandboxes.close());
  const onDockerHang = (hungMs: number): void => {
    log.error({ hungMs }, 'docker thread hangs; ending it');
    void sandboxes.endThread();
  };
  loops.watch(DOCKER_SLOT, onDockerHang, { begun: false, patience: DOCKER_PATIENCE });

  onStop.add(() => agents.close(CLOSE_DEADLINE_MS));
  const isResting = (): boolean => drain.active;
  const parted = {
    agents,
    all,
    docker: sandboxes,
    front,
    book,
    readiness,
    auditLog,
    broker,
    keptOut,
    isResting,
    live,
  };
  const host = agentHost(parted);
  await waits.withStore(() => agents.start(host));
  onStop.add(() => credentials.close());
  await credentials.start(options.signal);
  const images = new ImageServers({ config, docker: sandboxes, log, note: (listing) => book.note(listing) });
  onStop.add(() => images.close());
  await images.start();
  await all.publish(book.published());

  await modelAsked;
  onStop.add(() => front.close());
  onStop.add(() => front.closeAll(1001, 'the server is stopping'));
  readiness.serves();
  const url = await listen();
  onStop.add(() => all.hibernate());
  onStop.add(() => all.drain(config.listen.drainTimeoutMs));
  await waits.untilAvailable(() => all.resume());
  eraser.resume();
  onStop.add(() => eraser.close());
  const janitor = startJanitor(all, log);
  onStop.add(() => janitor.close());
  onStop.add(() => front.stopAccepting());
  onStop.add(() => readiness.draining());
  readiness.booted();
  for (const part of liveParts({ live, front, docker: sandboxes, agents, book, images, log })) live.add(part);
  live.open();
  onStop.add(() => live.close());

  let stopping: Promise<void> | undefined;
  return {
    url,
    ...service,
    parts,
    access,
    reload: () => live.reload(),
    makeLoginLink: () => browsers?.makeLink(),
    tools: Object.values(book.published().catalogue).flat().length,
    stop: () => (stopping ??= onStop.run()),
  };
}

/** Undefined: no other server has this store. */
function socketClaims(
  config: Config,
  { shared, ...parts }: { agents: AgentPool; instance: string; shared: boolean; log: Logger },
): SocketClaims | undefined {
  if (!shared) return undefined;
  return new SocketClaims({
    ...parts,
    get failOpen() {
      return config.quotas.failOpen;
    },
  });
}
