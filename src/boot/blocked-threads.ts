/**
 * Tells every agent thread who is blocked, until it has answered that no turn of theirs is left. A thread that does not answer is
 * replaced: its successor knows the list before it serves. Main thread.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorToData, isFairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { AgentPool } from '../threads/agent-pool.js';

/** A thread answers after its turns have stopped, or five seconds. */
const ANSWER_MS = 8_000;
const AGAIN_MS = 1_000;
/** About half a minute: the store may be away for some of it. */
const TRIES = 4;

export interface BlockedThreadsOptions {
  agents: Pick<AgentPool, 'size' | 'ask' | 'replace'>;
  /** Users who are blocked now. */
  users: () => string[];
  log: Logger;
  answerMs?: number;
  againMs?: number;
}

export class BlockedThreads {
  readonly #options: BlockedThreadsOptions;
  readonly #stop = new AbortController();
  /** Threads that have not answered for the newest list. */
  readonly #behind = new Set<number>();
  readonly #telling = new Map<number, Promise<void>>();

  constructor(options: BlockedThreadsOptions) {
    this.#options = options;
  }

  /** The list has changed. Never rejects; resolves when every thread has answered or is replaced. */
  async tell(): Promise<void> {
    const threads = Array.from({ length: this.#options.agents.size }, (_, index) => {
      this.#behind.add(index);
      const running = this.#telling.get(index);
      if (running) {
        // The answer to the list before may wait for turns to stop, and whoever is let in again must not wait for it.
        void this.#tryOnce(index);
        return running;
      }
      const telling = this.#until(index).finally(() => this.#telling.delete(index));
      this.#telling.set(index, telling);
      return telling;
    });
    await Promise.all(threads);
  }

  close(): void {
    this.#stop.abort();
  }

  async #until(index: number): Promise<void> {
    const { agents, log, againMs = AGAIN_MS } = this.#options;
    const { signal } = this.#stop;
    for (let tries = 1; this.#behind.delete(index) && !signal.aborted; tries++) {
      const why = await this.#tryOnce(index);
      if (why === undefined) {
        tries = 0;
        continue; // the list may have changed meanwhile
      }
      this.#behind.add(index);
      if (tries >= TRIES) {
        log.error({ agent: index, err: why }, 'a blocked user’s turns do not stop there; the agent thread is replaced');
        this.#behind.delete(index);
        agents.replace(index);
        return;
      }
      log.warn({ agent: index, err: why }, 'a blocked user’s turns have not stopped yet');
      await delay(againMs, undefined, { signal }).catch(() => undefined); // it is closing
    }
  }

  /** Undefined: nothing is left to do there. A thread that is down is told at its start. */
  async #tryOnce(index: number): Promise<string | undefined> {
    const { agents, users, answerMs = ANSWER_MS } = this.#options;
    try {
      const answer = await agents.ask(index, 'set-blocked', { users: users() }, { timeoutMs: answerMs });
      return answer && answer.left > 0 ? `${answer.left} sessions are left` : undefined;
    } catch (error) {
      return isFairleadError(error, 'ERR_CHANNEL_CLOSED') ? undefined : errorToData(error).message;
    }
  }
}
