/**
 * The server's side of the connection to the runner: takes the one that has the secret, passes calls on, and answers them in
 * words when the runner ends. Runs in the sandbox.
 */
import type { CallToolResult } from '@modelcontextprotocol/server';
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { ToolFault } from './fault.js';
import { RunnerConnection } from './runner-connection.js';
import { RUNNER_SOCKET, type FromRunner } from './runner-wire.js';
import { FAULT_META, TOOL_LIST } from './tool-list.js';
import type { CallContext, Tool } from './tools.js';

/** Sockets that have not said who they are. Any process in the sandbox may connect. */
const MAX_STRANGERS = 8;
const HELLO_MS = 10_000;
/** How long a call waits for a runner: the docker thread starts one in less than a second when the machine is idle. */
const RUNNER_WAIT_MS = 20_000;
/** While calls wait, the docker thread is asked again: it may have been away, or slowed down a runner that ends too often. */
const ASK_EVERY_MS = 2_000;
const MAX_CALLS = 128;

export interface RunnerLinkOptions {
  /** SHA-256 of the runner's secret, as hex digits. */
  hash: string;
  path?: string;
  /** There is no runner and one is needed. */
  onWanted: () => void;
  /** A runner with this uid will get the next calls. */
  onRunner: (uid: number) => void;
}

interface Waiter {
  resolve: (runner: RunnerConnection) => void;
  reject: (fault: ToolFault) => void;
}

export class RunnerLink {
  readonly #options: RunnerLinkOptions;
  readonly #server: Server;
  readonly #strangers = new Set<Socket>();
  readonly #waiters = new Set<Waiter>();
  #runner: RunnerConnection | undefined;
  /** Of the runner before, which may be stopped and not ended. */
  #earlierPid: number | undefined;
  #asking: NodeJS.Timeout | undefined;
  #open = 0;

  private constructor(options: RunnerLinkOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#meet(socket));
  }

  /** Resolves when runners can connect. */
  static async listen(options: RunnerLinkOptions): Promise<RunnerLink> {
    const link = new RunnerLink(options);
    // Open to all: the secret says who the runner is, and its user is another one than ours.
    link.#server.listen({ path: options.path ?? RUNNER_SOCKET, readableAll: true, writableAll: true });
    await once(link.#server, 'listening');
    return link;
  }

  close(): void {
    this.#server.close();
    this.#runner?.close();
    for (const socket of this.#strangers) socket.destroy();
    clearTimeout(this.#asking);
  }

  /** The six tools, run by the runner. */
  get tools(): Tool[] {
    return TOOL_LIST.map(({ listed }) => ({ listed, call: (args, call) => this.#call(listed.name, args, call) }));
  }

  /** Resolves when a runner answers; rejects with a ToolFault after `RUNNER_WAIT_MS`. */
  async alive(): Promise<void> {
    const runner = await this.#ready();
    await runner.ping();
  }

  async #call(name: string, args: Readonly<Record<string, unknown>>, call: CallContext): Promise<CallToolResult> {
    try {
      if (this.#open >= MAX_CALLS) throw new ToolFault('BUSY', `${MAX_CALLS} calls are open already. Try again later.`);
      this.#open++;
      try {
        const runner = await this.#ready();
        return await runner.call(name, args, call);
      } finally {
        this.#open--;
      }
    } catch (error) {
      if (!(error instanceof ToolFault)) throw error;
      return { isError: true, content: [{ type: 'text', text: error.message }], _meta: { [FAULT_META]: error.code } };
    }
  }

  async #ready(): Promise<RunnerConnection> {
    if (this.#runner) return this.#runner;
    let timer: NodeJS.Timeout | undefined;
    let waiter: Waiter | undefined;
    this.#ask();
    try {
      return await new Promise((resolve, reject) => {
        waiter = { resolve, reject };
        this.#waiters.add(waiter);
        timer = setTimeout(() => reject(noRunner()), RUNNER_WAIT_MS);
      });
    } finally {
      clearTimeout(timer);
      if (waiter) this.#waiters.delete(waiter);
    }
  }

  /** Asks now and then again, as long as somebody waits. The first runner comes unasked. */
  #ask(): void {
    if (this.#asking || this.#runner) return;
    if (this.#earlierPid !== undefined) this.#options.onWanted();
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
      this.#earlierPid ??= 0;
      if (this.#waiters.size > 0) this.#ask();
    }, ASK_EVERY_MS);
  }

  #meet(socket: Socket): void {
    const [oldest] = this.#strangers.size >= MAX_STRANGERS ? this.#strangers : [];
    oldest?.destroy();
    this.#strangers.add(socket);
    const timer = setTimeout(() => socket.destroy(), HELLO_MS);
    const connection = new RunnerConnection(socket, {
      onHello: (hello) => {
        clearTimeout(timer);
        this.#strangers.delete(socket);
        if (!this.#isSecret(hello.secret)) return false;
        this.#take(connection, hello);
        return true;
      },
      onEnd: () => {
        clearTimeout(timer);
        this.#strangers.delete(socket);
        this.#lose(connection);
      },
    });
  }

  #isSecret(secret: string): boolean {
    const hash = Buffer.from(this.#options.hash, 'hex');
    const given = createHash('sha256').update(secret).digest();
    return hash.length === given.length && timingSafeEqual(hash, given);
  }

  /** The newest runner counts: the docker thread starts another one only where the one before is gone or stopped. */
  #take(connection: RunnerConnection, { pid, uid }: Extract<FromRunner, { type: 'hello' }>): void {
    const earlier = this.#runner;
    this.#runner = connection;
    const replaces = this.#earlierPid;
    this.#earlierPid = pid;
    connection.send({ type: 'welcome', ...(replaces !== undefined && replaces > 0 && { replaces }) });
    earlier?.close();
    this.#options.onRunner(uid);
    for (const { resolve } of this.#waiters) resolve(connection);
  }

  #lose(connection: RunnerConnection): void {
    if (this.#runner !== connection) return;
    this.#runner = undefined;
    clearTimeout(this.#asking);
    this.#asking = undefined;
    this.#ask();
  }
}

function noRunner(): ToolFault {
  const text =
    'The process that runs the tools of this sandbox has ended, and no new one came up. Files stay, unless all of the sandbox has ended. ' +
    'Try again; if it stays so, a program in the sandbox ends it each time, and a restart of the sandbox helps.';
  return new ToolFault('NO_RUNNER', text);
}
