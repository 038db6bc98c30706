/** One schema thread, which is ended in the middle of a check that takes too long. Agent threads. */
import { Worker } from 'node:worker_threads';
import type { CheckAnswer, CheckRequest } from '../../schema/messages.js';
import { pending } from '../../../src/shared/abort.js';

const FILE = new URL('../../schema/index.js', import.meta.url);
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

export type CheckResult = Exclude<CheckAnswer, { type: 'ready' }> | { type: 'slow' | 'died' };

export interface CheckTimes {
  /** Of one check. */
  checkMs: number;
  /** Of a thread's start. */
  startMs: number;
  /** A thread that is unused for so long is ended. */
  idleMs: number;
}

interface Running {
  worker: Worker;
  ready: Promise<boolean>;
}

/** Not Piscina: its deadline would count the thread's start, which takes longer than any check may. */
export class CheckThread {
  readonly #times: CheckTimes;
  #running: Running | undefined;
  #idle: NodeJS.Timeout | undefined;
  #settle: ((result: CheckResult) => void) | undefined;

  constructor(times: CheckTimes) {
    this.#times = times;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** One at a time. Never rejects. */
  async check(request: CheckRequest): Promise<CheckResult> {
    clearTimeout(this.#idle);
    const { worker, ready } = (this.#running ??= this.#start());
    worker.ref();
    if (!(await within(ready, this.#times.startMs, false))) {
      this.end();
      return { type: 'died' };
    }
    const answer = pending<CheckResult>();
    this.#settle = answer.resolve;
    worker.postMessage(request);
    const result = await within(answer.promise, this.#times.checkMs, { type: 'slow' } as const);
    this.#settle = undefined;
    if (result.type === 'slow' || result.type === 'died') this.end();
    else this.#rest(worker);
    return result;
  }

  end(): void {
    clearTimeout(this.#idle);
    const running = this.#running;
    this.#running = undefined;
    this.#settle?.({ type: 'died' });
    void running?.worker.terminate();
  }

  #rest(worker: Worker): void {
    worker.unref();
    this.#idle = setTimeout(() => this.end(), this.#times.idleMs).unref();
  }

  #start(): Running {
    // Nothing of ours is in it: no environment, no output of its own.
    const worker = new Worker(FILE, { name: 'schema', env: {}, execArgv: [], resourceLimits: LIMITS });
    const ready = pending<boolean>();
    worker.on('message', (answer: CheckAnswer) => {
      if (answer.type === 'ready') ready.resolve(true);
      else if (this.#running?.worker === worker) this.#settle?.(answer);
    });
    const gone = (): void => {
      ready.resolve(false);
      if (this.#running?.worker !== worker) return;
      this.#running = undefined;
      this.#settle?.({ type: 'died' });
    };
    worker.on('error', gone); // it is out of memory, for instance
    worker.on('exit', gone);
    return { worker, ready: ready.promise };
  }
}

async function within<T, U>(promise: Promise<T>, ms: number, late: U): Promise<T | U> {
  const timeout = pending<U>();
  const timer = setTimeout(() => timeout.resolve(late), ms);
  try {
    return await Promise.race([promise, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
