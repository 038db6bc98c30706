/** The composition root: the parts in the order of the boot, and stopped in the reverse. Main thread. */
import { availableParallelism } from 'node:os';
import type { Catalogue } from '../workers/agent/messages.js';
import { readCatalogue } from './catalogue.js';
import type { Config } from './config.js';
import { openDataDir } from './data-dir.js';
import { errorToData } from './errors.js';
import { createFront, type Front } from './front/app.js';
import { startJanitor } from './janitor.js';
import type { Logger } from './log.js';
import { joinMetrics, registry, watchThread } from './metrics.js';
import { chooseParts, type Parts } from './parts.js';
import { Readiness } from './readiness.js';
import { AgentPool } from './threads/agent-pool.js';
import { openDockerPool, type DockerPool } from './threads/docker-pool.js';

const CLOSE_DEADLINE_MS = 5_000;
/** Removing a container takes 0.2 s, and a daemon that is busy takes a few of them a second. */
const SANDBOXES_DEADLINE_MS = 60_000;
const SCRAPE_TIMEOUT_MS = 2_000;

export interface Engine {
  url: string;
  parts: Parts;
  /** How many tools the configured servers have. */
  tools: number;
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

  const readiness = new Readiness(() => agents.size - agents.alive); // asked when there are any
  const docker = openDockerPool({
    config,
    instance: data.instance,
    driver: parts.sandbox.driver,
    log,
    closeTimeoutMs: SANDBOXES_DEADLINE_MS,
    missingSessions: (sessions) => agents.request(sessions[0] ?? '', 'missing-sessions', { sessions }),
    onBreaker: (state) => readiness.dockerBreaker(state),
  });
  opened.add(() => docker.close());

  let front: Front | undefined;
  let catalogue: Catalogue = {};
  const threads = config.agents.threads || Math.max(1, availableParallelism() - 1);
  const agents = new AgentPool(
    { config, threads, store: parts.store.kind, model: parts.model.kind },
    {
      requests: {
        'lease-sandbox': (request) => docker.run('lease-sandbox', request, [request.port]),
        'release-sandbox': (request) => docker.run('release-sandbox', request),
        'hibernate-sandbox': async (request) => {
          await docker.run('hibernate-sandbox', request);
          return null;
        },
        'release-session': async (request) => {
          await docker.run('release-session', request);
          return null;
        },
      },
      notifications: {
        frames: ({ batch }) => front?.deliver(batch),
        'session-gone': ({ session, closeCode, reason }) => front?.sessionGone(session, closeCode, reason),
        health: ({ thread, store }) => readiness.storeHealth(thread, store),
      },
      prepare: async (channel) => void (await channel.request('set-catalogue', { catalogue })),
    },
    log,
  );
  opened.add(() => agents.close(CLOSE_DEADLINE_MS));
  await agents.start();
  catalogue = await readCatalogue(config, docker);
  await Promise.all(agents.each('set-catalogue', { catalogue }));

  const listening = createFront({
    config,
    agents,
    log,
    readiness: () => readiness.read(),
    metrics: () => scrape(docker, agents),
  });
  front = listening;
  opened.add(() => listening.close());
  const { url } = await listening.listen();
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
  const tools = Object.values(catalogue).flat().length;
  return { url, parts, tools, stop: () => (stopping ??= stop()) };
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
