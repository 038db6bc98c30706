/** The connection to Redis: it starts or says what to do, reconnects by itself, and gives each operation one deadline. Agent threads. */
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, ErrorReply, RESP_TYPES, type RedisArgument } from 'redis';
import { backoffMs, type Backoff } from '../../../src/shared/backoff.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { isRefusal, redisMessage, startProblem } from '../../../src/shared/redis-errors.js';
import { greetRedis } from '../../../src/shared/redis-probe.js';
import { redisAddress, redisUrlProblem } from '../../../src/shared/redis-url.js';
import { storeUnavailable, withStoreDeadline, type OperationDeadline } from './deadline.js';
import { asStoreError, isTransient } from './redis-replies.js';
import type { Script } from './redis-scripts.js';
import type { StoreOptions } from './store.js';

/** How long the start waits for Redis. */
const START_MS = 3000;
const LOADING_POLL_MS = 100;
/** Commands that are not sent or not answered yet, of all sessions of a thread. */
const MAX_QUEUED = 10_000;
const RECONNECT: Backoff = { firstMs: 50, maxMs: 1000 };
const TRY_AGAIN: Backoff = { firstMs: 20, maxMs: 1000 };
const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
type Client = ReturnType<typeof connectTo>;

/** Sends the commands of one operation, until its deadline. */
export interface RedisCall {
  send<T>(args: RedisArgument[]): Promise<T>;
  /** Returns bulk strings as Buffers. */
  sendBinary<T>(args: RedisArgument[]): Promise<T>;
  /**
   * Runs a read-only script. It is sent as text: with EVALSHA a Redis that does not know the script makes us send it again,
   * and by then later writes are ahead of it.
   */
  read<T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
  readBinary<T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
  /** Runs a script whose ARGV[1] is the deadline and whose reply is {outcome, Redis's time, …}. Never returns 'late': that rejects. */
  write<T extends [string, number, ...unknown[]]>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
}

export interface RedisCallOptions {
  /** No caller waits for it: it is tried once, since a retry could undo what came after it, and it runs while draining too. */
  background?: boolean;
  /** True: a later write was called, so a retry of this read would see too much. It is not tried again. */
  overtaken?: () => boolean;
}

export class RedisLink {
  readonly #client: Client;
  readonly #options: StoreOptions;
  /** Redis's wall clock minus our `performance.now()`, ms, rather too small than too large: no write may land after its deadline. */
  #clockOffset = -Infinity;
  #active = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(client: Client, options: StoreOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** ERR_START, with the address and what to do, when Redis is not usable within three seconds. */
  static async open(url: string, options: StoreOptions): Promise<RedisLink> {
    const problem = redisUrlProblem(url);
    if (problem !== undefined) throw new FairleadError('ERR_START', `store.redisUrl (REDIS_URL) ${problem}`);
    const state: StartState = { starting: true, lastError: undefined };
    const client = connectTo(url, options, state);
    const link = new RedisLink(client, options);
    try {
      await withStoreDeadline(START_MS, 'Redis', async ({ signal }) => {
        await client.connect();
        await link.#greet(signal, state);
      });
    } catch (error) {
      client.destroy();
      const cause = state.lastError ?? error;
      const { what, todo } = startProblem(cause, url);
      throw new FairleadError('ERR_START', `Redis at ${redisAddress(url)} ${what}: ${todo}`, { cause });
    }
    state.starting = false;
    return link;
  }

  /**
   * Runs an operation until its deadline; rejects only with a FairleadError. `work` runs again when the connection is lost or
   * Redis cannot serve, so what it writes must be idempotent.
   */
  async call<T>(operation: string, work: (call: RedisCall) => Promise<T>, options: RedisCallOptions = {}): Promise<T> {
    if (this.#draining && !options.background) throw storeUnavailable('the connection to Redis is closed');
    const { limits, observe } = this.#options;
    const started = performance.now();
    this.#active += 1;
    try {
      return await withStoreDeadline(limits.timeoutMs, 'Redis', (deadline) => this.#try(deadline, work, options));
    } catch (error) {
      throw asStoreError(error);
    } finally {
      this.#active -= 1;
      if (this.#active === 0) this.#onIdle?.();
      observe?.(operation, (performance.now() - started) / 1000);
    }
  }

  /** Refuses new operations, and resolves when those under way have ended; each has a deadline. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#active > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** Waits for commands under way, for at most one operation's deadline. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await withStoreDeadline(this.#options.limits.timeoutMs, 'Redis', () => this.#client.close());
    } catch (error) {
      this.#options.onError?.('close', error);
      this.#client.destroy();
    }
  }

  async #try<T>(
    deadline: OperationDeadline,
    work: (call: RedisCall) => Promise<T>,
    options: RedisCallOptions,
  ): Promise<T> {
    const { background = false, overtaken = () => false } = options;
    // Each command listens to the signal until it is written, and an operation may have a thousand commands.
    setMaxListeners(0, deadline.signal);
    for (let tries = 1; ; tries++) {
      try {
        return await work(this.#callUntil(deadline));
      } catch (error) {
        if (deadline.signal.aborted || background || overtaken() || !isTransient(error, tries)) throw error;
        deadline.lastFailure = redisMessage(error);
        await pause(backoffMs(tries, TRY_AGAIN), undefined, { signal: deadline.signal });
      }
      if (overtaken()) throw storeUnavailable(`a read was interrupted: ${deadline.lastFailure}`);
    }
  }

  #callUntil(deadline: OperationDeadline): RedisCall {
    // At the deadline the client removes commands from its queue; one that was written cannot be taken back.
    const text = { abortSignal: deadline.signal };
    const binary = { ...text, ...BINARY };
    const send = <T>(args: RedisArgument[]): Promise<T> => this.#client.sendCommand<T>(args, text);
    const sendBinary = <T>(args: RedisArgument[]): Promise<T> => this.#client.sendCommand<T>(args, binary);
    return {
      send,
      sendBinary,
      read: (script, keys, args) => send(['EVAL', script.lua, String(keys.length), ...keys, ...args]),
      readBinary: (script, keys, args) => sendBinary(['EVAL', script.lua, String(keys.length), ...keys, ...args]),
      write: async <T extends [string, number, ...unknown[]]>(
        script: Script,
        keys: string[],
        args: RedisArgument[],
      ) => {
        // 'late' may only mean that we were wrong about Redis's clock. The reply corrects that, so one more try decides.
        for (let tries = 1; tries <= 2; tries++) {
          const sentAt = performance.now();
          const until = Math.floor(deadline.at + this.#clockOffset) - 1; // Redis compares whole milliseconds
          const reply = await evaluate<T>(send, script, keys, [String(until), ...args]);
          this.#learnClock(reply[1], sentAt);
          if (reply[0] !== 'late') return reply;
        }
        throw storeUnavailable('Redis received the write only after its deadline');
      },
    };
  }

  /** The first commands of a connection: they check what Redis is, and read its clock. Waits while it loads its data. */
  async #greet(signal: AbortSignal, state: StartState): Promise<void> {
    const send = <T>(args: string[]): Promise<T> => this.#client.sendCommand<T>(args, { abortSignal: signal });
    for (;;) {
      try {
        await greetRedis(send);
        const sentAt = performance.now();
        const [seconds, micros] = await send<[string, string]>(['TIME']);
        const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
        this.#clockOffset = -Infinity;
        this.#learnClock(now, sentAt);
        return;
      } catch (error) {
        if (signal.aborted || !(error instanceof ErrorReply) || !error.message.startsWith('LOADING')) throw error;
        state.lastError = error;
        await pause(LOADING_POLL_MS);
      }
    }
  }

  /**
   * Redis's clock was at `serverMs` at some moment between `sentAt` and now: keeps the offset within those bounds. It begins at the
   * lower one, since a slow first reply says nothing about where between them the truth is.
   */
  #learnClock(serverMs: number, sentAt: number): void {
    this.#clockOffset = Math.min(Math.max(this.#clockOffset, serverMs - performance.now()), serverMs + 1 - sentAt);
  }
}

interface StartState {
  starting: boolean;
  lastError: unknown;
}

function connectTo(url: string, { limits, onError }: StoreOptions, state: StartState) {
  const client = createClient({
    url,
    RESP: 3,
    name: 'fairlead',
    maintNotifications: 'disabled',
    commandsQueueMaxLength: MAX_QUEUED,
    // Our deadline covers the reply as well; the client's timeout ends when the command is written.
    commandOptions: { timeout: 0 },
    // Finds half-open connections: a ping per deadline, and a cut when nothing has come for two.
    pingInterval: limits.timeoutMs,
    socket: {
      connectTimeout: Math.max(limits.timeoutMs, 1000),
      socketTimeout: Math.max(limits.timeoutMs * 2, 1000),
      reconnectStrategy: (retries, cause) =>
        state.starting && isRefusal(cause) ? cause : backoffMs(retries + 1, RECONNECT),
    },
  });
  client.on('error', (error: unknown) => {
    if (state.starting) state.lastError = error;
    else onError?.('connection', error);
  });
  return client;
}

async function evaluate<T>(
  send: <R>(args: RedisArgument[]) => Promise<R>,
  script: Script,
  keys: string[],
  args: RedisArgument[],
): Promise<T> {
  const rest = [String(keys.length), ...keys, ...args];
  try {
    return await send<T>(['EVALSHA', script.sha1, ...rest]);
  } catch (error) {
    // Redis does not know the script yet, or has forgotten it in a restart.
    if (!(error instanceof ErrorReply) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await send<T>(['EVAL', script.lua, ...rest]);
  }
}
