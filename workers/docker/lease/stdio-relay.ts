/** Relays one sandbox's stdio to and from the MessagePort of its agent thread, with backpressure both ways. Docker thread. */
import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';
import { FairleadError } from '../../../src/shared/errors.js';
import type { RunningSandbox, SandboxExit } from '../driver/driver.js';
import { STDIO_WINDOW_BYTES, type StdioFromSandbox, type StdioToSandbox } from '../contract/messages.js';

/** Bound on unread stdin, not counting the newest message. */
const STDIN_WAITING_BYTES = 4_194_304;
const STDERR_BYTES_A_SECOND = 65_536;
/** After its exit, how long a sandbox's output may be held open by a process that it left. */
const LAST_OUTPUT_MS = 5_000;

/** A sandbox's own server, or a server that was started in it. */
export type RelayedProcess = Pick<RunningSandbox, 'stdin' | 'stdout' | 'stderr' | 'exited'>;

export interface StdioRelayOptions {
  /** A call of this session that may change files begins or has ended; so many run now. */
  onChanges?: (running: number, session?: string) => void;
  /** Any message for the process. */
  onInput?: () => void;
}

/**
 * Listens on the port from the first moment, to notice an agent thread that gives up while its sandbox starts.
 * Whatever ends the relay (exit, `close`, a closed port, a full stdin) aborts `closed` once.
 */
export class StdioRelay {
  readonly #port: MessagePort;
  readonly #controller = new AbortController();
  readonly #decoder = new StringDecoder('utf8');
  readonly #options: StdioRelayOptions;
  #sandbox: RelayedProcess | undefined;
  /** What comes out waits for it. */
  #held: Promise<unknown> | undefined;
  /** Stdin that arrived before `attach`. */
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #unacked = 0;
  #abandoned = false;
  #released = false;
  #cut = '';
  #exit: SandboxExit | undefined;
  #lastOutput: NodeJS.Timeout | undefined;
  #stderr = { since: 0, bytes: 0, dropped: 0 };

  constructor(port: MessagePort, options: StdioRelayOptions = {}) {
    this.#port = port;
    this.#options = options;
    port.on('message', (message: StdioToSandbox) => this.#receive(message));
    port.on('close', () => {
      this.#abandoned ||= !this.closed.aborted;
      this.#close('the session’s end of the stream has closed');
    });
    port.on('messageerror', () => this.end(null, 'a message could not be read'));
  }

  /** The port closed without a `close` message: the agent thread has died. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** The session has closed it, and wants the sandbox no more. */
  get released(): boolean {
    return this.#released;
  }

  /** How the sandbox's process ended; undefined while it runs. */
  get exit(): SandboxExit | undefined {
    return this.#exit;
  }

  /** Why the session cannot read the sandbox's output any longer; '' if it has not said so. */
  get cut(): string {
    return this.#cut;
  }

  /** Bytes of stdout that the session has not taken. */
  get unacked(): number {
    return this.#unacked;
  }

  /** As when the session says that it cannot read the output any longer. */
  cutOff(reason: string): void {
    if (this.closed.aborted) return;
    this.#cut = reason;
    this.end(null, reason);
  }

  /** Aborts when the relay has ended. */
  get closed(): AbortSignal {
    return this.#controller.signal;
  }

  attach(sandbox: RelayedProcess): void {
    this.#sandbox = sandbox;
    const { stdin, stdout, stderr } = sandbox;
    // `exited` and the end of stdout report it; an error of a late write says nothing new.
    stdin.on('error', () => undefined);
    stdout.on('readable', this.#pump);
    stdout.on('end', this.#onEnd);
    stdout.on('error', this.#onEnd);
    stderr.on('data', this.#onStderr);
    stderr.on('error', () => undefined);
    void this.#awaitExit(sandbox);
    for (const data of this.#early) stdin.write(data);
    this.#early = [];
  }

  async #awaitExit({ stdout, exited }: RelayedProcess): Promise<void> {
    const exit = await exited;
    this.#exit = exit;
    if (stdout.readableEnded || stdout.destroyed) this.end(exit.code, exit.reason);
    else this.#armLastOutput();
  }

  /** Nothing comes out until `work`, which must not reject, has ended. */
  async holdOutput(work: Promise<void>): Promise<void> {
    this.#held = work;
    await work;
    if (this.#held !== work) return;
    this.#held = undefined;
    if (!this.closed.aborted) this.#pump();
  }

  /** Sends `exit` as the last message and closes. Idempotent: the first reason stands. */
  end(code: number | null, reason: string): void {
    if (this.closed.aborted) return;
    this.#post({ type: 'exit', code, reason });
    this.#close(reason);
  }

  #close(reason: string): void {
    if (this.closed.aborted) return;
    clearTimeout(this.#lastOutput);
    this.#early = [];
    const sandbox = this.#sandbox;
    if (sandbox) {
      sandbox.stdout.off('readable', this.#pump);
      sandbox.stdout.off('end', this.#onEnd);
      sandbox.stderr.off('data', this.#onStderr);
    }
    this.#port.close();
    this.#controller.abort(new FairleadError('ERR_CANCELLED', reason));
  }

  #receive(message: StdioToSandbox): void {
    if (this.closed.aborted) return;
    switch (message.type) {
      case 'stdin':
        this.#options.onInput?.();
        this.#write(message.data);
        return;
      case 'ack':
        this.#unacked = Math.max(0, this.#unacked - message.bytes);
        this.#pump();
        return;
      case 'cut':
        this.#cut = message.reason;
        this.#close(message.reason);
        return;
      case 'changes':
        this.#options.onChanges?.(message.running, message.session);
        return;
      case 'close':
        this.#released = true;
        this.#close('closed by the session');
        return;
    }
  }

  #write(data: Uint8Array): void {
    // Checked before this message is added: one long message must not end a sandbox that reads well.
    if ((this.#sandbox?.stdin.writableLength ?? this.#earlyBytes) > STDIN_WAITING_BYTES) {
      this.end(null, `does not read its input: more than ${STDIN_WAITING_BYTES} bytes wait`);
      return;
    }
    if (this.#sandbox) {
      if (this.#sandbox.stdin.writable) this.#sandbox.stdin.write(data);
      return;
    }
    this.#early.push(data);
    this.#earlyBytes += data.byteLength;
  }

  readonly #pump = (): void => {
    const stdout = this.#sandbox?.stdout;
    if (!stdout || this.#held) return;
    for (;;) {
      // Only an empty read makes an ended stream emit `end`.
      const size = stdout.readableLength === 0 ? undefined : Math.min(stdout.readableLength, this.#room());
      if (size === 0) break;
      const chunk = readBytes(stdout, size);
      if (!chunk) break;
      this.#unacked += chunk.byteLength;
      // Copies exactly these bytes: a view would send its whole pooled buffer.
      this.#post({ type: 'stdout', data: new Uint8Array(chunk) });
    }
    if (this.#exit) this.#armLastOutput();
  };

  #room(): number {
    return Math.max(0, STDIO_WINDOW_BYTES - this.#unacked);
  }

  readonly #onEnd = (): void => {
    if (this.#exit) this.end(this.#exit.code, this.#exit.reason);
  };

  /** Not armed while the window is full: then the agent thread is the slow side, not the process. */
  #armLastOutput(): void {
    clearTimeout(this.#lastOutput);
    const exit = this.#exit;
    if (!exit || this.closed.aborted || this.#room() === 0) return;
    this.#lastOutput = setTimeout(() => this.end(exit.code, exit.reason), LAST_OUTPUT_MS);
  }

  /** Always reads, so that a full pipe never stops a server; bytes over the rate are dropped and counted. */
  readonly #onStderr = (chunk: Buffer): void => {
    const now = performance.now();
    if (now - this.#stderr.since > 1_000) {
      if (this.#stderr.dropped > 0) {
        this.#post({ type: 'stderr', text: `\n[${this.#stderr.dropped} bytes dropped]\n` });
      }
      this.#stderr = { since: now, bytes: 0, dropped: 0 };
    }
    const room = Math.max(0, STDERR_BYTES_A_SECOND - this.#stderr.bytes);
    const kept = chunk.subarray(0, room);
    this.#stderr.bytes += kept.length;
    this.#stderr.dropped += chunk.length - kept.length;
    if (kept.length > 0) this.#post({ type: 'stderr', text: this.#decoder.write(kept) });
  };

  #post(message: StdioFromSandbox): void {
    if (!this.closed.aborted) this.#port.postMessage(message);
  }
}

function readBytes(stream: Readable, size: number | undefined): Buffer | null {
  return stream.read(size) as Buffer | null;
}
