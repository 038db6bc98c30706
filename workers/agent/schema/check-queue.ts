/** Checks that wait for a schema thread: bounded, and fair between users. Agent threads. */
import type { CheckRequest } from '../../schema/messages.js';
import { pending } from '../../../src/shared/abort.js';
import { CheckThread, type CheckResult, type CheckTimes } from './check-thread.js';

/** A user holds at most one thread, so with two there is one for the others. */
const THREADS = 2;
const MAX_WAITING = 200;
const MAX_WAITING_OF_USER = 20;

interface Job {
  request: CheckRequest;
  resolve: (result: CheckResult | { type: 'full' }) => void;
}

export class CheckQueue {
  readonly #threads: CheckThread[];
  readonly #free: CheckThread[];
  /** User → waiting checks; the user whose turn it is comes first. */
  readonly #waiting = new Map<string, Job[]>();
  readonly #busy = new Set<string>();
  #size = 0;

  constructor(times: CheckTimes) {
    this.#threads = Array.from({ length: THREADS }, () => new CheckThread(times));
    this.#free = [...this.#threads];
  }

  /** Schema threads that run now. */
  get threads(): number {
    return this.#threads.filter(({ isRunning }) => isRunning).length;
  }

  /** Never rejects. `full`: too many wait. */
  async check(user: string, request: CheckRequest): Promise<CheckResult | { type: 'full' }> {
    const mine = this.#waiting.get(user) ?? [];
    if (this.#size >= MAX_WAITING || mine.length >= MAX_WAITING_OF_USER) return { type: 'full' };
    const answer = pending<CheckResult | { type: 'full' }>();
    mine.push({ request, resolve: answer.resolve });
    this.#waiting.set(user, mine);
    this.#size++;
    this.#next();
    return answer.promise;
  }

  close(): void {
    for (const jobs of this.#waiting.values()) for (const { resolve } of jobs) resolve({ type: 'died' });
    this.#waiting.clear();
    this.#size = 0;
    for (const thread of this.#threads) thread.end();
  }

  #next(): void {
    for (const [user, jobs] of this.#waiting) {
      if (this.#free.length === 0) return;
      if (this.#busy.has(user)) continue;
      const job = jobs.shift();
      this.#waiting.delete(user);
      // Behind the other users.
      if (jobs.length > 0) this.#waiting.set(user, jobs);
      if (!job) continue;
      this.#size--;
      void this.#run(user, job);
    }
  }

  async #run(user: string, { request, resolve }: Job): Promise<void> {
    // A thread that runs already, if there is one: a start takes a tenth of a second.
    const index = Math.max(
      0,
      this.#free.findIndex(({ isRunning }) => isRunning),
    );
    const [thread] = this.#free.splice(index, 1);
    if (!thread) return;
    this.#busy.add(user);
    resolve(await thread.check(request));
    this.#busy.delete(user);
    this.#free.push(thread);
    this.#next();
  }
}
