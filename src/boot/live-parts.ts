/** What takes a new configuration, in the order in which it does, and what a configuration may not be on a server that runs. Main thread. */
import { servesOthers } from '../shared/config-access.js';
import type { Config, ConfigProblem } from '../shared/config.js';
import { errorToData } from '../shared/errors.js';
import { setLogLevel, type Logger } from '../shared/log.js';
import type { AgentPool } from '../threads/agent-pool.js';
import type { DockerPool } from '../threads/docker-pool.js';
import type { Front } from './front.js';
import { serverChanges } from '../shared/server-changes.js';
import type { ImageServers } from './catalogue.js';
import type { LiveConfig, LivePart } from './live-config.js';
import type { ServerBook } from './server-book.js';

/** A thread takes its configuration in milliseconds, but may be in the middle of a long step. */
const TAKE_MS = 10_000;

export interface LivePartsOptions {
  live: Pick<LiveConfig, 'generation'>;
  front: Pick<Front, 'applyConfig'>;
  docker: Pick<DockerPool, 'run' | 'endThread'>;
  agents: Pick<AgentPool, 'setConfig'>;
  book: Pick<ServerBook, 'applyConfig'>;
  images: Pick<ImageServers, 'applyConfig'>;
  log: Logger;
}

export function liveParts({ live, front, docker, agents, book, images, log }: LivePartsOptions): LivePart[] {
  return [
    { name: 'log', apply: ({ logLevel }) => setLogLevel(logLevel) },
    {
      name: 'front',
      apply: () => {
        const closed = front.applyConfig();
        if (closed > 0) log.info({ closed }, 'connections were closed, since their token is gone');
      },
    },
    {
      // Before the agent threads, which ask it for sandboxes of new servers.
      name: 'docker',
      apply: async (config) => {
        try {
          await docker.run('set-config', { generation: live.generation, config: forThreads(config) });
          return [];
        } catch (error) {
          // Its successor starts with the newest, and adopts its sandboxes.
          void docker.endThread();
          return [`the docker thread did not take the configuration and is replaced: ${errorToData(error).message}`];
        }
      },
    },
    {
      name: 'agents',
      apply: async () => {
        const ended = await agents.setConfig(live.generation, TAKE_MS);
        return ended.map((index) => `agent thread ${index} did not take the configuration in time and is replaced`);
      },
    },
    {
      // After the agent threads, which forget the tools of servers that are gone by themselves.
      name: 'servers',
      apply: ({ mcpServers }, before) => {
        const changes = serverChanges(before.mcpServers, mcpServers);
        book.applyConfig(changes);
        images.applyConfig(changes);
      },
    },
  ];
}

/** Who gets in is judged by the main thread alone, and thousands of users are the largest part of a configuration. */
export function forThreads(config: Config): Config {
  return { ...config, auth: { ...config.auth, tokens: [] } };
}

/** Where tools run without isolation only the machine's owner may be let in: the start has seen to that, and a reload must not undo it. */
export function unsafeHere(next: Config, driver: 'docker' | 'process'): ConfigProblem[] {
  const others = driver === 'process' ? servesOthers(next) : undefined;
  if (others === undefined) return [];
  const message = `is a process in this server, which isolates nothing, and ${others}: restart it with Docker`;
  return [{ path: 'sandbox.driver', message }];
}
