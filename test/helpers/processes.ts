/** Child processes of tests: none outlives its test, and every wait for one has a deadline. */
import type { ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const alive = new Set<ChildProcess>();
let guarded = false;

/** Resolves when the child is gone; until then it dies with this process. */
export function watchExit(child: ChildProcess): Promise<Exit> {
  if (!guarded) {
    guarded = true;
    process.once('exit', () => {
      for (const child of alive) child.kill('SIGKILL');
    });
  }
  alive.add(child);
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      if (child.pid !== undefined) return; // a failed kill: the exit still comes
      alive.delete(child);
      reject(error);
    });
    child.once('exit', (code, signal) => {
      alive.delete(child);
      resolve({ code, signal });
    });
  });
}

/** SIGTERM, then SIGKILL at the deadline. A child that has already gone is fine. */
export async function stopChild(child: ChildProcess, exited: Promise<Exit>, graceMs = 10_000): Promise<Exit> {
  child.kill('SIGCONT'); // a stopped process does not hear SIGTERM
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  try {
    return await exited;
  } finally {
    clearTimeout(timer);
  }
}

export function eachLine(stream: Readable, line: (text: string) => void): void {
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', line);
}

/** The newest lines of a stream, for error messages. */
export class Tail {
  readonly #lines: string[] = [];
  readonly #limit: number;

  constructor(limit = 40) {
    this.#limit = limit;
  }

  push(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > this.#limit) this.#lines.shift();
  }

  toString(): string {
    return this.#lines.join('\n');
  }
}

/** `promise`, or an error with this text after `timeoutMs`. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, late: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(late())), timeoutMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** A port that was free a moment ago; whoever takes it must be ready to try another. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
}

/** A promise that someone else resolves. (Node 20 has no Promise.withResolvers.) */
export function deferred<T>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] | undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  if (!resolve) throw new Error('a promise runs its executor at once');
  return { promise, resolve };
}
