/**
 * Entry of the runner: runs the tools, and so all commands, as another user than the server, whose calls it gets over a
 * socket. Main thread of a process in the sandbox, which the docker thread starts beside the server.
 */
import './no-inspector.js';
import { connect, type Socket } from 'node:net';
import { LineReader } from '../../src/shared/line-reader.js';
import { errnoOf } from './fault.js';
import { openTools } from './in-process.js';
import {
  lineOf,
  MAX_MESSAGE_BYTES,
  readToRunner,
  RUNNER_HASH,
  RUNNER_SECRET,
  RUNNER_SOCKET,
  type FromRunner,
  type ToRunner,
} from './runner-wire.js';
import { removeLeftStates, Shell } from './shell.js';
import type { Tool } from './tools.js';

const CONNECT_FOR_MS = 30_000;
const CONNECT_EVERY_MS = 20;

/** The server may not listen yet: both start at the same time. */
async function connectToServer(): Promise<Socket> {
  const deadline = performance.now() + CONNECT_FOR_MS;
  for (;;) {
    const socket = connect(RUNNER_SOCKET);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) return socket;
    if (!['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error) ?? '') || performance.now() > deadline) throw error;
    await new Promise((resolve) => setTimeout(resolve, CONNECT_EVERY_MS));
  }
}

class Runner {
  readonly #tools: Map<string, Tool>;
  readonly #shell: Shell;
  readonly #socket: Socket;
  readonly #calls = new Map<number, AbortController>();
  /** Resolve when the client has taken the last piece of a call's progress. */
  readonly #taken = new Map<number, () => void>();

  constructor(tools: readonly Tool[], shell: Shell, socket: Socket) {
    this.#shell = shell;
    this.#tools = new Map(tools.map((tool) => [tool.listed.name, tool]));
    this.#socket = socket;
  }

  serve(secret: string): void {
    const lines = new LineReader(MAX_MESSAGE_BYTES * 2, () => new RangeError('a message of the server is too long'));
    this.#socket.on('data', (chunk: Buffer) => {
      for (const line of lines.read(chunk)) this.#receive(readToRunner(line));
    });
    this.#socket.on('error', () => undefined); // its close follows
    this.#socket.once('close', () => this.#end());
    this.#send({ type: 'hello', secret, pid: process.pid, uid: process.getuid?.() ?? 0 });
  }

  /** The server is gone, or has another runner: commands whose result nobody takes end, background processes run on. */
  #end(): void {
    for (const call of this.#calls.values()) call.abort();
    process.exit(0);
  }

  #receive(message: ToRunner): void {
    switch (message.type) {
      case 'welcome':
        if (message.replaces === undefined) return;
        kill(message.replaces);
        removeLeftStates();
        this.#shell.isNewBecause('the process that runs the tools has ended meanwhile');
        return;
      case 'call':
        void this.#call(message);
        return;
      case 'cancel':
        this.#calls.get(message.id)?.abort();
        return;
      case 'ack':
        this.#taken.get(message.id)?.();
        return;
      case 'ping':
        this.#send({ type: 'pong' });
        return;
    }
  }

  async #call({
    id,
    name,
    args,
    progress,
    maxBytes,
    isRestored = false,
  }: Extract<ToRunner, { type: 'call' }>): Promise<void> {
    const call = new AbortController();
    this.#calls.set(id, call);
    const report = progress ? (piece: Parameters<Report>[0]) => this.#report(id, piece) : undefined;
    const result = await this.#tools.get(name)?.call(args, { signal: call.signal, report, maxBytes, isRestored });
    this.#calls.delete(id);
    this.#taken.delete(id);
    this.#send({ type: 'result', id, result: result ?? { isError: true, content: [] } });
  }

  #report(id: number, piece: Parameters<Report>[0]): Promise<void> {
    return new Promise((resolve) => {
      this.#taken.set(id, resolve);
      this.#send({ type: 'progress', id, piece });
    });
  }

  #send(message: FromRunner): void {
    this.#socket.write(lineOf(message));
  }
}

type Report = NonNullable<Parameters<Tool['call']>[1]['report']>;

/** A stopped runner keeps its memory until it is killed; only its own user may do that. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error;
  }
}

async function main(): Promise<void> {
  const secret = process.env[RUNNER_SECRET] ?? '';
  // Commands inherit this process's environment.
  delete process.env[RUNNER_SECRET];
  delete process.env[RUNNER_HASH];
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(0));
  const shell = new Shell();
  new Runner(await openTools(shell), shell, await connectToServer()).serve(secret);
}

void main();
