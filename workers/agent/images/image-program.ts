/** One image program, which is ended in the middle of a picture that takes too long, and when it is idle. Agent threads. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pending } from '../../../src/shared/abort.js';
import type { ImageAnswer, ImageRequest } from '../../image/messages.js';

const FILE = fileURLToPath(new URL('../../image/index.js', import.meta.url));

export type ImageResult =
  | Exclude<ImageAnswer, { type: 'ready' }>
  | { type: 'slow' | 'died' | 'unstarted' }
  /** It runs, but has no decoder here. */
  | { type: 'absent'; why: string };

export interface ImageTimes {
  /** Of one picture. */
  fitMs: number;
  /** Of the program's start. */
  startMs: number;
  /** A program that is unused for so long is ended. */
  idleMs: number;
}

type Start = 'ready' | 'unstarted' | { why: string };

interface Running {
  child: ChildProcess;
  start: Promise<Start>;
}

export class ImageProgram {
  readonly #times: ImageTimes;
  readonly #file: string;
  #running: Running | undefined;
  #idle: NodeJS.Timeout | undefined;
  #settle: ((result: ImageResult) => void) | undefined;

  /** `file`: another program, in tests. */
  constructor(times: ImageTimes, file = FILE) {
    this.#times = times;
    this.#file = file;
  }

  /** Undefined when none runs. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** One at a time. Never rejects. */
  async fit(request: ImageRequest): Promise<ImageResult> {
    clearTimeout(this.#idle);
    const { child, start } = (this.#running ??= this.#start());
    child.ref();
    child.channel?.ref();
    const started = await within(start, this.#times.startMs, 'unstarted' as const);
    if (started !== 'ready') {
      this.end();
      return started === 'unstarted' ? { type: started } : { type: 'absent', ...started };
    }
    const answer = pending<ImageResult>();
    this.#settle = answer.resolve;
    // A program that has just ended is told by its exit.
    child.send(request, (error) => error && this.#settle?.({ type: 'died' }));
    const result = await within(answer.promise, this.#times.fitMs, { type: 'slow' } as const);
    this.#settle = undefined;
    if (result.type === 'slow' || result.type === 'died') this.end();
    else this.#rest(child);
    return result;
  }

  end(): void {
    clearTimeout(this.#idle);
    const running = this.#running;
    this.#running = undefined;
    this.#settle?.({ type: 'died' });
    running?.child.kill('SIGKILL');
  }

  #rest(child: ChildProcess): void {
    child.unref();
    child.channel?.unref();
    this.#idle = setTimeout(() => this.end(), this.#times.idleMs).unref();
  }

  #start(): Running {
    // Nothing of ours is in it: no environment, no output of its own.
    const child = fork(this.#file, [], {
      env: {},
      execArgv: ['--max-old-space-size=64'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const start = pending<Start>();
    child.on('message', (answer: ImageAnswer) => {
      if (answer.type === 'ready') start.resolve(answer.why === undefined ? 'ready' : { why: answer.why });
      else if (this.#running?.child === child) this.#settle?.(answer);
    });
    const gone = (): void => {
      start.resolve('unstarted');
      if (this.#running?.child !== child) return;
      this.#running = undefined;
      this.#settle?.({ type: 'died' });
    };
    child.on('error', gone);
    child.on('exit', gone);
    return { child, start: start.promise };
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
