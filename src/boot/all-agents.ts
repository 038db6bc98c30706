/** What the boot, the stop and the front ask of every agent thread at once. Main thread. */
import type { WorkLeft } from '../../workers/agent/contract/lifecycle.js';
import type { McpStatusResult, UserServer } from '../../workers/agent/contract/mcp.js';
import { errorToData, isFairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Who } from '../shared/person.js';
import type { AgentPool } from '../threads/agent-pool.js';
import type { AgentRequestName, AgentRequests } from '../threads/agents.js';
import type { Published } from './server-book.js';

/** How long a thread may take beyond the grace of its turns. */
const DRAIN_MARGIN_MS = 5_000;
/** Removing a container takes 0.2 s, and a busy daemon removes a few of them a second. */
export const SANDBOXES_DEADLINE_MS = 60_000;
/** A thread that hangs must not hold up the answers of the others. */
export const STATUS_TIMEOUT_MS = 2_000;
/** Sessions that one thread deletes in one sweep, so that a box full of expired ones does not starve the living. */
const SWEEP_LIMIT = 100;

export class AllAgents {
  readonly #agents: AgentPool;
  readonly #log: Logger;

  constructor(agents: AgentPool, log: Logger) {
    this.#agents = agents;
    this.#log = log;
  }

  /** A thread that starts meanwhile is told at its start. */
  async publish(servers: Published): Promise<void> {
    await this.#each('set-catalogue', servers, (err) =>
      this.#log.warn({ err }, 'an agent thread was not told of new tools'),
    );
  }

  /** The thread that lists this server does so again; the others do nothing. */
  async refresh(server: string): Promise<void> {
    await this.#each('refresh-server', { server }, (err) =>
      this.#log.debug({ server, err }, 'mcp server: not refreshed'),
    );
  }

  /** A thread that cannot be told keeps its token until that expires or is refused. */
  async forgetLogin(of: UserServer): Promise<void> {
    await this.#each('mcp-forget', of, (err) =>
      this.#log.warn({ ...of, err }, 'an agent thread was not told of a login'),
    );
  }

  /** ERR_UNAVAILABLE: not every thread has forgotten it. */
  async forgetUser(user: string): Promise<void> {
    await this.#each('forget-user', { user }, (_err, error) => {
      throw error;
    });
  }

  mcpStatus(user: string, who: Who): Promise<McpStatusResult[]> {
    return this.#each('mcp-status', { user, who }, ignore, STATUS_TIMEOUT_MS);
  }

  async metrics(): Promise<object[][]> {
    const answers = await this.#each('collect-metrics', {}, ignore, STATUS_TIMEOUT_MS);
    return answers.map(({ metrics }) => metrics);
  }

  /** Deletes sessions past their time to live; resolves with their number. */
  async sweep(): Promise<number> {
    const warn = (err: string): void => this.#log.warn({ err }, 'the janitor will try again');
    const swept = await this.#each('sweep-sessions', { limit: SWEEP_LIMIT }, warn);
    return swept.reduce((sum, { deleted }) => sum + deleted, 0);
  }

  /** Turns that an earlier run left open go on; those of a thread that dies meanwhile do when its successor serves. */
  async resume(): Promise<void> {
    const answers = await this.#each('resume', {}, (_err, error) => {
      if (!isFairleadError(error, 'ERR_CHANNEL_CLOSED')) throw error;
    });
    const sessions = answers.reduce((sum, answer) => sum + answer.sessions, 0);
    if (sessions > 0) this.#log.info({ sessions }, 'sessions with open turns go on');
  }

  /** No turn starts from now on; resolves with the sessions whose turn runs. A thread that starts meanwhile is told at its start. */
  async rest(): Promise<string[]> {
    const failed = (err: string): void =>
      this.#log.error({ err }, 'an agent thread was not told that the server drains');
    return (await this.#each('rest', {}, failed, STATUS_TIMEOUT_MS)).flatMap(({ busy }) => busy);
  }

  /** Turns start again. ERR_UNAVAILABLE: not in every thread. */
  async wake(): Promise<void> {
    await this.#each('wake', {}, (_err, error) => {
      if (!isFairleadError(error, 'ERR_CHANNEL_CLOSED')) throw error;
    });
  }

  /** Of the threads that answer in time. */
  async workLeft(): Promise<WorkLeft> {
    const answers = await this.#each('work-left', {}, ignore, STATUS_TIMEOUT_MS);
    return {
      turns: answers.reduce((sum, { turns }) => sum + turns, 0),
      calls: answers.reduce((sum, { calls }) => sum + calls, 0),
    };
  }

  async drain(graceMs: number): Promise<void> {
    const failed = (err: string): void => this.#log.error({ err }, 'an agent thread did not drain');
    await this.#each('drain', { graceMs }, failed, graceMs + DRAIN_MARGIN_MS);
  }

  /** What is not saved in time is lost with its container. */
  async hibernate(): Promise<void> {
    const failed = (err: string): void => this.#log.error({ err }, 'an agent thread did not save its workspaces');
    for (const result of await this.#each('hibernate-all', {}, failed, SANDBOXES_DEADLINE_MS)) {
      if (result.hibernated + result.failed > 0) this.#log.info(result, 'sandboxes hibernated');
    }
  }

  /** The answers of the threads that are up; `onFailure` gets each failure. */
  async #each<K extends AgentRequestName>(
    name: K,
    body: AgentRequests[K]['request'],
    onFailure: (message: string, error: unknown) => void,
    timeoutMs?: number,
  ): Promise<AgentRequests[K]['result'][]> {
    const answers: AgentRequests[K]['result'][] = [];
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    for (const result of await Promise.allSettled(this.#agents.each(name, body, options))) {
      if (result.status === 'fulfilled') answers.push(result.value);
      else onFailure(errorToData(result.reason).message, result.reason);
    }
    return answers;
  }
}

function ignore(): void {}
