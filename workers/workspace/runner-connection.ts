/** One process that has connected as the runner: its calls, its proof of life, its end. Runs in the sandbox, in the server. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import type { Socket } from 'node:net';
import { LineReader } from '../../src/shared/line-reader.js';
import { ToolFault } from './fault.js';
import {
  lineOf,
  MAX_MESSAGE_BYTES,
  MAX_RESULT_BYTES,
  readFromRunner,
  type FromRunner,
  type ToRunner,
} from './runner-wire.js';
import type { CallContext } from './tools.js';

const MAX_HELLO_BYTES = 1_024;
/** While calls are open, the runner is asked whether it lives. */
const PING_EVERY_MS = 5_000;
/** A runner that is silent for so long is stopped or held: it is given up, and its calls are answered. */
const SILENT_MS = 20_000;
/** More than this waits to be read by the runner: it takes no more calls. */
const MAX_WAITING_BYTES = 2 * MAX_MESSAGE_BYTES;

type Hello = Extract<FromRunner, { type: 'hello' }>;

export interface RunnerConnectionEvents {
  /** False: it is not the runner, and the connection ends. */
  onHello: (hello: Hello) => boolean;
  /** Once, whoever ended it. */
  onEnd: () => void;
}

interface OpenCall {
  context: CallContext;
  resolve: (result: CallToolResult) => void;
  reject: (fault: ToolFault) => void;
}

export class RunnerConnection {
  readonly #socket: Socket;
  readonly #events: RunnerConnectionEvents;
  readonly #calls = new Map<number, OpenCall>();
  readonly #pings = new Set<{ resolve: () => void; reject: (fault: ToolFault) => void }>();
  #lines = new LineReader(MAX_HELLO_BYTES, tooLong);
  #known = false;
  #nextId = 0;
  #heardAt = 0;
  /** Armed while something is open. */
  #pulse: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(socket: Socket, events: RunnerConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined); // its close follows
    socket.once('close', () => this.close());
  }

  /** Rejects with a ToolFault when the runner ends. After an abort it resolves once the runner has ended the command. */
  async call(name: string, args: Readonly<Record<string, unknown>>, context: CallContext): Promise<CallToolResult> {
    if (this.#socket.writableLength > MAX_WAITING_BYTES) {
      throw new ToolFault('BUSY', 'The sandbox has too much to do: calls wait. Try again later.');
    }
    const id = this.#nextId++;
    const cancel = (): void => this.send({ type: 'cancel', id });
    try {
      return await new Promise((resolve, reject) => {
        if (this.#closed) throw ended();
        this.#calls.set(id, { context, resolve, reject });
        const { report, maxBytes, isRestored } = context;
        const told = { progress: report !== undefined, maxBytes, ...(isRestored === true && { isRestored }) };
        this.send({ type: 'call', id, name, args, ...told });
        if (context.signal.aborted) cancel();
        context.signal.addEventListener('abort', cancel);
        this.#keepPulse();
      });
    } finally {
      this.#calls.delete(id);
      context.signal.removeEventListener('abort', cancel);
    }
  }

  /** Resolves with the next sign of life; rejects with a ToolFault when the runner ends. */
  async ping(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      if (this.#closed) throw ended();
      this.#pings.add({ resolve, reject });
      this.send({ type: 'ping' });
      this.#keepPulse();
    });
  }

  send(message: ToRunner): void {
    if (!this.#closed) this.#socket.write(lineOf(message));
  }

  /** Ends the connection and rejects what is open. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pulse);
    this.#socket.destroy();
    for (const { reject } of this.#calls.values()) reject(ended());
    for (const { reject } of this.#pings) reject(ended());
    this.#pings.clear();
    this.#events.onEnd();
  }

  #read(chunk: Buffer): void {
    try {
      for (const line of this.#lines.read(chunk)) {
        if (this.#closed) return;
        this.#receive(line);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.close(); // a line that is too long
    }
  }

  #receive(line: string): void {
    const message = readFromRunner(line);
    this.#heardAt = performance.now();
    if (message?.type === 'hello' ? this.#known : !this.#known) return this.close();
    switch (message?.type) {
      case undefined:
        return this.close(); // not what a runner of ours sends
      case 'hello':
        this.#known = this.#events.onHello(message);
        if (!this.#known) return this.close();
        this.#lines = new LineReader(MAX_RESULT_BYTES, tooLong); // nothing follows until we have answered
        return;
      case 'progress':
        void this.#report(message.id, message.piece);
        return;
      case 'result':
        this.#calls.get(message.id)?.resolve(message.result);
        return;
      case 'pong':
        for (const { resolve } of this.#pings) resolve();
        this.#pings.clear();
        return;
    }
  }

  async #report(id: number, piece: Extract<FromRunner, { type: 'progress' }>['piece']): Promise<void> {
    await this.#calls
      .get(id)
      ?.context.report?.(piece)
      .catch(() => undefined); // the client is gone: its end ends the call
    this.send({ type: 'ack', id });
  }

  #keepPulse(): void {
    if (this.#pulse) return;
    this.#heardAt = performance.now();
    this.#pulse = setInterval(() => {
      if (this.#calls.size + this.#pings.size === 0) {
        clearInterval(this.#pulse);
        this.#pulse = undefined;
      } else if (performance.now() - this.#heardAt > SILENT_MS) this.close();
      else this.send({ type: 'ping' });
    }, PING_EVERY_MS);
  }
}

function tooLong(maxBytes: number): RangeError {
  return new RangeError(`a message of the runner is longer than ${maxBytes} bytes`);
}

function ended(): ToolFault {
  const text =
    'The process that runs the tools ended while this call ran: a program in the sandbox killed or stopped it, or memory ran out. ' +
    'The call may have run in part. A new process is being started. Files stay, unless all of the sandbox has ended: the next result says so. ' +
    'If it happens again and again, a restart of the sandbox helps.';
  return new ToolFault('NO_RUNNER', text);
}
