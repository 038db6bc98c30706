/** One run of the file helper in a sandbox. All that it says is the sandbox's word: checked, bounded, and with a deadline. Docker thread. */
import { readFileSync } from 'node:fs';
import { onAbort, pending, untilAborted, withDeadline } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { freeNow } from '../../../src/shared/threads/free-now.js';
import type { RunningSandbox, SandboxProgram } from '../driver/driver.js';
import { isProcess, Stderr, workspaceOf } from '../archive/programs.js';
import { fileError } from './file-errors.js';

/** As it was compiled: it imports nothing but Node's own modules. */
const HELPER = readFileSync(new URL('../../workspace/file-helper.js', import.meta.url), 'utf8');
/** Our image's Node is run through a loader that nobody can read, so that other programs of its user cannot look into it. */
const IN_IMAGE = `for node in /opt/fairlead/node node; do
  command -v "$node" >/dev/null || continue
  [ "$node" = node ] || [ ! -x /opt/fairlead/ld ] || set -- /opt/fairlead/ld "$node" "$@"
  [ "$1" = /opt/fairlead/ld ] || set -- "$node" "$@"
  exec "$@"
done
exit 127`;
const OPTIONS = ['--v8-pool-size=0', '--max-old-space-size=96', '--input-type=module', '-e'];
/** The longest path, each byte of it escaped. */
const MAX_LINE_BYTES = 65_536;
const STALL_MS = 60_000;
const FRAME_HEADER_BYTES = 5;
const NEWLINE = 0x0a;

export interface HelperAsk {
  op: 'list' | 'read' | 'write' | 'delete' | 'move' | 'archive';
  path: string;
  recursive?: boolean | undefined;
  after?: string | undefined;
  limit?: number | undefined;
  size?: number | undefined;
  to?: string | undefined;
  overwrite?: boolean | undefined;
  expect?: string | undefined;
}

export class HelperRun {
  readonly #ask: HelperAsk;
  readonly #program: SandboxProgram;
  readonly #stderr: Stderr;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #controller: AbortController;
  readonly #stop: () => void;
  #rest: Buffer = Buffer.alloc(0);
  #isOver = false;
  #onOver: () => void = () => undefined;

  private constructor(ask: HelperAsk, program: SandboxProgram, controller: AbortController, stop: () => void) {
    this.#ask = ask;
    this.#program = program;
    this.#stderr = new Stderr(program);
    this.#controller = controller;
    this.#stop = stop;
    this.#chunks = program.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    program.stdin.on('error', () => this.over());
    void program.exited.then(() => this.over());
  }

  /** `close` must be called. Errors as `RunningSandbox.exec`; the signal's reason. */
  static async start(sandbox: RunningSandbox, ask: HelperAsk, signal: AbortSignal): Promise<HelperRun> {
    const controller = new AbortController();
    const stop = onAbort(signal, () => controller.abort(signal.reason));
    try {
      const asked = JSON.stringify({ root: workspaceOf(sandbox), ...ask });
      const node = isProcess(sandbox) ? [process.execPath] : ['sh', '-c', IN_IMAGE, 'sh'];
      const program = await sandbox.exec([...node, ...OPTIONS, HELPER, asked], controller.signal);
      return new HelperRun(ask, program, controller, stop);
    } catch (error) {
      stop();
      throw error;
    }
  }

  /** The next line, as JSON; `timeoutMs` is for each piece of it. What the helper says went wrong is thrown: see file-errors.ts. ERR_SANDBOX. */
  async line(timeoutMs = STALL_MS): Promise<unknown> {
    for (;;) {
      const end = this.#rest.indexOf(NEWLINE);
      if (end >= 0) {
        const line = this.#rest.subarray(0, end);
        this.#rest = this.#rest.subarray(end + 1);
        return this.#parse(line);
      }
      if (this.#rest.length > MAX_LINE_BYTES) throw broken('a line is too long');
      const next = await this.#next(timeoutMs);
      if (!next) throw await this.#ended();
      this.#rest = Buffer.concat([this.#rest, next]);
    }
  }

  /** So many bytes after the last line; more lines follow. */
  async *exactly(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0;) {
      if (this.#rest.length === 0) {
        const next = await this.#next(STALL_MS);
        if (!next) throw await this.#ended();
        this.#rest = next;
      }
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      left -= part.length;
      yield part;
    }
  }

  /** The bytes after the lines, to the end of the output. Each piece must be copied before the next one is asked for. */
  async *bytes(): AsyncGenerator<Buffer> {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    if (rest.length > 0) yield rest;
    for (;;) {
      const next = await this.#next(STALL_MS);
      if (!next) return;
      yield next;
      freeNow(next);
    }
  }

  /** True: they are on their way, and the bytes are nobody's any more. ERR_SANDBOX when it takes nothing for too long. */
  async write(bytes: Buffer | string): Promise<boolean> {
    const { stdin } = this.#program;
    if (this.#isOver || !stdin.writable) return false; // its end is told by its output
    const { promise, resolve } = pending<boolean>();
    this.#onOver = () => resolve(false);
    stdin.write(bytes, (error) => resolve(!error));
    return this.#wait(() => promise);
  }

  /** It reads no more: nobody waits for it to. */
  over(): void {
    this.#isOver = true;
    this.#onOver();
  }

  /** As `write`. */
  async frame(kind: 'D' | 'C', content: Uint8Array): Promise<boolean> {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.write(kind, 'latin1');
    header.writeUInt32BE(content.length, 1);
    this.#program.stdin.write(header);
    return this.write(Buffer.from(content.buffer, content.byteOffset, content.length));
  }

  /** The end of its input ends it, whatever it does. Idempotent. */
  close(): void {
    this.#stop();
    this.#program.stdin.end();
    this.#controller.abort();
  }

  #parse(line: Buffer): unknown {
    let value: unknown;
    try {
      value = JSON.parse(line.toString('utf8'));
    } catch {
      throw broken('a line is no JSON');
    }
    const fault = (value as { fault?: unknown } | null)?.fault;
    if (fault === undefined) return value;
    if (typeof fault !== 'string') throw broken('a fault is no text');
    const { path, to } = this.#ask;
    throw fileError(fault, fault === 'EEXIST' ? (to ?? path) : path);
  }

  async #next(timeoutMs: number): Promise<Buffer | undefined> {
    const { value, done } = await this.#wait(() => this.#chunks.next(), timeoutMs);
    return done === true ? undefined : value;
  }

  async #ended(): Promise<FairleadError> {
    const code = await this.#wait(() => this.#program.exited);
    if (code === 126 || code === 127) {
      const why = this.#stderr.text || 'the image needs Node for that, and the sandbox room for another process';
      return new FairleadError('ERR_SANDBOX', `the files cannot be reached: ${why}`);
    }
    return new FairleadError('ERR_SANDBOX', `the program for files ended with code ${code ?? 'unknown'}`, {
      cause: this.#stderr.text,
    });
  }

  #wait<T>(work: (signal: AbortSignal) => Promise<T>, timeoutMs = STALL_MS): Promise<T> {
    const { signal } = this.#controller;
    if (timeoutMs === Infinity) return untilAborted(signal, () => work(signal));
    return withDeadline({ timeoutMs, late: () => broken(`nothing moves for ${timeoutMs} ms`), signal }, work);
  }
}

function broken(why: string): FairleadError {
  return new FairleadError('ERR_SANDBOX', `the program for files in the sandbox does not answer as it should: ${why}`);
}
