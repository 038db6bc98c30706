/** The composition root: the parts in the order of the boot, and stopped in the reverse. Main thread. */
import { availableParallelism } from 'node:os';
import type { McpStatusResult, UserServer } from '../workers/agent/contract/mcp.js';
import { readCatalogue } from './boot/catalogue.js';
import type { Config } from './shared/config.js';
import { openDataDir } from './boot/data-dir.js';
import { errorToData, isFairleadError } from './shared/errors.js';
import { createFront, type Front } from './boot/front.js';
import { startJanitor } from './boot/janitor.js';
import type { Logger } from './shared/log.js';
import { joinMetrics, registry, watchThread } from './shared/metrics.js';
import { loginHost } from './boot/oauth-host.js';
import { oauthIdentity } from './shared/oauth-identity.js';
import { chooseParts, type Parts } from './boot/parts.js';
import { Readiness } from './boot/readiness.js';
import { ServerBook, type Published } from './boot/server-book.js';
import { AgentPool } from './threads/agent-pool.js';
import { openDockerPool, type DockerPool } from './threads/docker-pool.js';
import { DOCKER_SLOT, LoopWatch } from './shared/threads/loop-watch.js';
import { threadOf } from './shared/threads/route.js';

const CLOSE_DEADLINE_MS = 5_000;
/** Removing a container takes 0.2 s, and a daemon that is busy takes a few of them a second. */
const SANDBOXES_DEADLINE_MS = 60_000;
const SCRAPE_TIMEOUT_MS = 2_000;
/** Its end costs everybody's tool calls, where an agent thread's costs those of its own sessions. */
const DOCKER_PATIENCE = 2;

export interface Engine {
  url: string;
  parts: Parts;
  /** How many tools the configured servers have. */
  tools: number;
  /** What /readyz answers. */
  readiness(): { ready: boolean; reasons: string[] };
  /** The event loops of all threads turn. */
  healthy(): boolean;
  /** Drains, then closes everything. Called twice, it joins the stop under way. */
  stop(): Promise<void>;
}

/** What has been opened, to be closed in the reverse order: at the stop, and when a later part fails to start. */
class Opened {
  readonly #closers: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) await close();
  }
}

/** ERR_START says which part and what to do. */
export async function startEngine(config: Config, log: Logger): Promise<Engine> {
  const opened = new Opened();
  try {
    return await boot(config, log, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function boot(config: Config, log: Logger, opened: Opened): Promise<Engine> {
  const data = await openDataDir(config.dataDir);
  opened.add(() => data.release());
  const parts = await chooseParts(config);
  const watch = watchThread('main');
  opened.add(() => watch.close());

  const threads = config.agents.threads || Math.max(1, availableParallelism() - 1);
  const loops = new LoopWatch({ threads, hangTimeoutMs: config.agents.hangTimeoutMs });
  opened.add(() => loops.close());
  const readiness = new Readiness(() => agents.size - agents.alive); // asked when there are any
  const docker = openDockerPool({
    config,
    instance: data.instance,
    driver: parts.sandbox.driver,
    log,
    closeTimeoutMs: SANDBOXES_DEADLINE_MS,
    fillPoolsAfter: readiness.whenBooted, // containers that start take the processors from the boot
    missingSessions: (sessions) => agents.request(sessions[0] ?? '', 'missing-sessions', { sessions }),
    onBreaker: (state) => readiness.dockerBreaker(state),
  });
  opened.add(() => docker.close());
  const onDockerHang = (hungMs: number): void => {
    log.error({ hungMs }, 'docker thread hangs; ending it');
    void docker.endThread();
  };
  loops.watch(DOCKER_SLOT, onDockerHang, { begun: false, patience: DOCKER_PATIENCE });

  let front: Front | undefined;
  let ownUrl: string | undefined;
  const book = new ServerBook(config, (published) => void publishServers(agents, published, log));
  const agents = new AgentPool(
    { config, instance: data.instance, threads, store: parts.store.kind, model: parts.model.kind },
    {
      requests: {
        'lease-sandbox': (request) => docker.run('lease-sandbox', request, [request.port]),
        'exec-server': (request) => docker.run('exec-server', request, [request.port]),
        'release-sandbox': (request) => docker.run('release-sandbox', request),
        'hibernate-sandbox': async (request) => {
          await docker.run('hibernate-sandbox', request);
          return null;
        },
        'release-session': async (request) => {
          await docker.run('release-session', request);
          return null;
        },
        ...loginHost(
          () => agents,
          () => (ownUrl === undefined ? undefined : oauthIdentity(config.mcp.publicUrl, ownUrl)),
        ),
        'mcp-stream': async (part) => (await front?.streamMcp(part)) ?? { open: false },
      },
      notifications: {
        frames: ({ batch }) => front?.deliver(batch),
        'session-gone': ({ session, closeCode, reason }) => front?.sessionGone(session, closeCode, reason),
        'session-seq': ({ session, seq }) => front?.noteSeq(session, seq),
        health: ({ thread, store }) => readiness.storeHealth(thread, store),
        'server-tools': (news) => book.note(news),
        'server-trouble': ({ server }) => void refreshServer(agents, server, log),
      },
      prepare: async (channel) => void (await channel.request('set-catalogue', book.published())),
      onRestarted: async (index, channel) => {
        if (readiness.isDraining) return; // it is not told to drain any more: the next start goes on
        await channel.request('resume', {});
        await front?.checkMissed((session) => threadOf(session, threads) === index);
      },
    },
    log,
    loops,
  );
  opened.add(() => agents.close(CLOSE_DEADLINE_MS));
  await agents.start();
  for (const news of await readCatalogue(config, docker)) book.note(news);
  await publishServers(agents, book.published(), log);

  const listening = createFront({
    config,
    agents,
    log,
    readiness: () => readiness.read(),
    metrics: () => scrape(docker, agents),
    mcp: {
      health: async (user) => book.health(await threadStatus(agents, user)),
      refresh: (server) => void refreshServer(agents, server, log),
    },
    forgetLogin: (of) => forgetLogin(agents, of, log),
  });
  front = listening;
  opened.add(() => listening.close());
  const { url } = await listening.listen();
  ownUrl = url;
  await resumeSessions(agents, log);
  const janitor = startJanitor(agents, log);
  opened.add(() => janitor.close());
  readiness.booted();

  const stop = async (): Promise<void> => {
    readiness.draining();
    listening.stopAccepting();
    janitor.close();
    await drainAgents(agents, config.listen.drainTimeoutMs, log);
    await hibernateAll(agents, log);
    await listening.closeAll(1001, 'the server is stopping');
    await opened.close();
  };
  let stopping: Promise<void> | undefined;
  const tools = Object.values(book.published().catalogue).flat().length;
  return {
    url,
    parts,
    tools,
    readiness: () => readiness.read(),
    healthy: () => loops.healthy,
    stop: () => (stopping ??= stop()),
  };
}

/** To every thread; one that starts meanwhile is told as it starts. */
async function publishServers(agents: AgentPool, published: Published, log: Logger): Promise<void> {
  for (const result of await Promise.allSettled(agents.each('set-catalogue', published))) {
    if (result.status === 'fulfilled') continue;
    log.warn({ err: errorToData(result.reason).message }, 'an agent thread was not told of new tools');
  }
}

/** The thread that lists servers looks at it; the others have nothing to do. */
async function refreshServer(agents: AgentPool, server: string, log: Logger): Promise<void> {
  for (const result of await Promise.allSettled(agents.each('refresh-server', { server }))) {
    if (result.status === 'fulfilled') continue;
    log.debug({ server, err: errorToData(result.reason).message }, 'mcp server: not asked for again');
  }
}

/** A thread that cannot be told goes on with the token that it has, until that is over or refused. */
async function forgetLogin(agents: AgentPool, of: UserServer, log: Logger): Promise<void> {
  for (const result of await Promise.allSettled(agents.each('mcp-forget', of))) {
    if (result.status === 'fulfilled') continue;
    log.warn({ ...of, err: errorToData(result.reason).message }, 'an agent thread was not told of a login');
  }
}

/** Of the threads that answer in time. */
async function threadStatus(agents: AgentPool, user: string): Promise<McpStatusResult[]> {
  const all = await Promise.allSettled(agents.each('mcp-status', { user }, { timeoutMs: SCRAPE_TIMEOUT_MS }));
  return all.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

/** Turns that an earlier run left in the middle go on; those of a thread that dies meanwhile, when it is back. */
async function resumeSessions(agents: AgentPool, log: Logger): Promise<void> {
  let sessions = 0;
  for (const result of await Promise.allSettled(agents.each('resume', {}))) {
    if (result.status === 'fulfilled') sessions += result.value.sessions;
    else if (!isFairleadError(result.reason, 'ERR_CHANNEL_CLOSED')) throw result.reason;
  }
  if (sessions > 0) log.info({ sessions }, 'sessions with open turns go on');
}

async function drainAgents(agents: AgentPool, graceMs: number, log: Logger): Promise<void> {
  const drained = agents.each('drain', { graceMs }, { timeoutMs: graceMs + CLOSE_DEADLINE_MS });
  for (const result of await Promise.allSettled(drained)) {
    if (result.status === 'fulfilled') continue;
    log.error({ err: errorToData(result.reason).message }, 'an agent thread did not drain');
  }
}

/** What is not saved in time is lost with its container, and said so. */
async function hibernateAll(agents: AgentPool, log: Logger): Promise<void> {
  const saved = agents.each('hibernate-all', {}, { timeoutMs: SANDBOXES_DEADLINE_MS });
  for (const result of await Promise.allSettled(saved)) {
    if (result.status === 'rejected') {
      log.error({ err: errorToData(result.reason).message }, 'an agent thread did not save its workspaces');
    } else if (result.value.hibernated + result.value.failed > 0) {
      log.info(result.value, 'sandboxes hibernated');
    }
  }
}

/** What threads answer in time; one that hangs must not take the others' figures with it. */
async function scrape(docker: DockerPool, agents: AgentPool): Promise<string> {
  const perThread = await Promise.allSettled([
    registry.getMetricsAsJSON(),
    docker.run('collect-metrics', {}).then((result) => result.metrics),
    ...agents.each('collect-metrics', {}, { timeoutMs: SCRAPE_TIMEOUT_MS }).map(async (r) => (await r).metrics),
  ]);
  return joinMetrics(perThread.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
}
