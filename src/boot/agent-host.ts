/** Hands what agent threads ask and report to the part that answers. Main thread. */
import type { SetConfigRequest } from '../../workers/agent/contract/lifecycle.js';
import { FairleadError } from '../shared/errors.js';
import { threadOf } from '../shared/threads/route.js';
import type { AgentHost } from '../threads/agent-life.js';
import type { AgentPool } from '../threads/agent-pool.js';
import type { DockerPool } from '../threads/docker-pool.js';
import { statFile } from '../threads/stat-file.js';
import type { ModelBroker } from '../threads/model-calls/model-broker.js';
import type { AllAgents } from './all-agents.js';
import type { AuditLog } from './audit-log.js';
import type { Front } from './front.js';
import type { LiveConfig } from './live-config.js';
import type { Readiness } from './readiness.js';
import type { ServerBook } from './server-book.js';

/** A little less than the agent thread waits for its answer. */
const LOGIN_TIMEOUT_MS = 95_000;
/** The time that a user has for a login, plus that of the requests after it. */
const LOGIN_END_TIMEOUT_MS = 690_000;

export interface AgentHostParts {
  agents: AgentPool;
  all: AllAgents;
  docker: DockerPool;
  front: Front;
  book: ServerBook;
  readiness: Readiness;
  auditLog: Pick<AuditLog, 'post' | 'stored'>;
  broker: ModelBroker;
  /** Users who are blocked or being deleted. */
  keptOut: () => string[];
  /** An administrator has the server drained. */
  isResting: () => boolean;
  live: Pick<LiveConfig, 'generation'>;
}

export function agentHost(parts: AgentHostParts): AgentHost {
  const { agents, all, docker, front, book, readiness, auditLog, broker, keptOut, isResting, live } = parts;
  const newest = (): SetConfigRequest => agents.newest(live.generation);
  return {
    requests: {
      'lease-sandbox': (request) => docker.run('lease-sandbox', request, [request.port]),
      'exec-server': (request) => docker.run('exec-server', request, [request.port]),
      'release-sandbox': (request) => docker.run('release-sandbox', request),
      'hibernate-sandbox': async (request) => {
        await docker.run('hibernate-sandbox', request);
        return null;
      },
      'keep-sandbox': (request) => docker.run('keep-sandbox', request),
      'replace-sandbox': (request) => docker.run('replace-sandbox', request),
      'stat-file': (request) => statFile(docker, request),
      'release-session': async (request) => {
        await docker.run('release-session', request);
        return null;
      },
      // All logins of a user live on one thread, which the user's name selects.
      'mcp-token': (request) => agents.request(request.user, 'mcp-token', request, { timeoutMs: LOGIN_TIMEOUT_MS }),
      'mcp-login': (request) => {
        const identity = front.identity();
        if (!identity)
          throw new FairleadError('ERR_UNAVAILABLE', 'the server is still starting', { retryAfterMs: 1_000 });
        return agents.request(request.user, 'mcp-login', { ...request, identity }, { timeoutMs: LOGIN_TIMEOUT_MS });
      },
      'mcp-login-end': (request) =>
        agents.request(request.user, 'mcp-login-end', request, { timeoutMs: LOGIN_END_TIMEOUT_MS }),
      'audit-stored': async ({ entries }) => {
        await auditLog.stored(entries);
        return null;
      },
      'mcp-stream': (part) => front.mcpExchanges.stream(part),
    },
    notifications: {
      frames: ({ batch }) => front.hub.deliver(batch),
      'session-gone': ({ session, closeCode, reason }) => front.hub.gone(session, closeCode, reason),
      'session-seq': ({ session, seq }) => front.hub.noteSeq(session, seq),
      health: ({ thread, store, why }) => readiness.storeHealth(thread, store, why),
      'model-health': ({ thread, why }) => readiness.modelCalls(thread, why),
      audit: ({ entries }) => auditLog.post(entries),
      'server-tools': (listing) => book.note(listing),
      'server-trouble': ({ server }) => void all.refresh(server),
      'model-ask': (asked) => broker.ask(asked),
      'model-leave': (left) => broker.leave(left),
      'model-ended': (ended) => broker.ended(ended),
      'model-refused': (refused) => broker.refused(refused),
      'model-answered': (answered) => broker.answered(answered),
    },
    onEnded: (index) => broker.threadEnded(index),
    prepare: async (channel) => {
      await channel.request('set-config', newest());
      await channel.request('set-catalogue', book.published());
      await channel.request('set-blocked', { users: keptOut() });
      if (isResting()) await channel.request('rest', {});
    },
    // A sandbox that floods the thread goes before the thread does; if Docker’s thread does not answer, nothing is lost.
    onSlow: (index) => void docker.run('cut-loud', { thread: index, threads: agents.size }).catch(() => undefined),
    onRestarted: async (index, channel) => {
      // It has opened its store, and asked no model; what its predecessor said last would stand for ever.
      readiness.storeHealth(index, true);
      readiness.modelCalls(index, undefined);
      // The new thread was not told to drain, so nothing is resumed here; the next start resumes it.
      if (readiness.isDraining) return;
      // As of now: what it started with may be older.
      await channel.request('set-config', newest());
      await channel.request('set-blocked', { users: keptOut() });
      await channel.request('resume', {});
      await front.hub.checkAll((session) => threadOf(session, agents.size) === index);
    },
  };
}
