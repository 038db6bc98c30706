/** The connection to Redis: starts or says what to do, reconnects by itself, gives every operation one deadline. Runs in agent threads. */
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, ErrorReply, RESP_TYPES, type RedisArgument } from 'redis';
import { backoffMs, type Backoff } from '../../../src/shared/backoff.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { storeUnavailable, withStoreDeadline, type OperationDeadline } from './deadline.js';
import { addressOf, asStoreError, isRefusal, redisMessage, passes, whatToDo } from './redis-replies.js';
import type { Script } from './redis-scripts.js';
import type { StoreOptions } from './store.js';

/** How long the start waits for a Redis that is not there. */
const START_MS = 3000;
const LOADING_POLL_MS = 100;
/** Commands that wait to be sent or answered, all sessions of a thread together. */
const MAX_QUEUED = 10_000;
const RECONNECT: Backoff = { firstMs: 50, maxMs: 1000 };
const TRY_AGAIN: Backoff = { firstMs: 20, maxMs: 1000 };
const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
type Client = ReturnType<typeof connectTo>;

/** The commands of one operation; they end at its deadline. */
export interface RedisCall {
  send<T>(args: RedisArgument[]): Promise<T>;
  /** Bulk strings come as Buffers. */
  sendBinary<T>(args: RedisArgument[]): Promise<T>;
  /**
   * Runs a script that only reads. Its text goes along: asked for by its hash, where Redis does not know it yet, it would have to
   * be sent again, behind writes that were sent after it.
   */
  read<T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
  readBinary<T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
  /** Runs a script whose ARGV[1] is the deadline and whose reply is {outcome, Redis's time, …}; 'late' never comes out of it. */
  write<T extends [string, number, ...unknown[]]>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
}

export interface RedisCallOptions {
  /** Work that no caller waits for: tried once, since a later try could undo what came after it, and done also while closing. */
  background?: boolean;
  /** A read that says true sees too much from now on: it is not tried again. */
  overtaken?: () => boolean;
}

export class RedisLink {
  readonly #client: Client;
  readonly #options: StoreOptions;
  /** Redis's wall clock minus our `performance.now()`, ms. */
  #clockOffset = 0;
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
    const address = addressOf(url);
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
      throw new FairleadError('ERR_START', `Redis at ${address} ${whatToDo(state.lastError ?? error)}`, {
        cause: state.lastError ?? error,
      });
    }
    state.starting = false;
    return link;
  }

  /**
   * Runs an operation against its deadline; what comes out is its result or a FairleadError. Until then `work` is run again
   * when the connection was lost under it or Redis could not serve: what it writes must be the same done twice as done once.
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

  /** Refuses what is new, and resolves when what is under way has ended: each has its deadline. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#active > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** Waits for what is under way, within the deadline of one command. */
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
    // Each command of the operation listens until it is written; an operation may have a thousand.
    setMaxListeners(0, deadline.signal);
    for (let tries = 1; ; tries++) {
      try {
        return await work(this.#callUntil(deadline));
      } catch (error) {
        if (deadline.signal.aborted || background || overtaken() || !passes(error, tries)) throw error;
        deadline.lastFailure = redisMessage(error);
        await pause(backoffMs(tries, TRY_AGAIN), undefined, { signal: deadline.signal });
      }
      if (overtaken()) throw storeUnavailable(`Redis lost the read: ${deadline.lastFailure}`);
    }
  }

  #callUntil(deadline: OperationDeadline): RedisCall {
    // A command that is still in the client's queue at the deadline is taken out of it; one that is on the wire cannot be.
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
        // A second try only where Redis's clock was not what we thought: its first answer has told us.
        for (let tries = 1; tries <= 2; tries++) {
          const sentAt = performance.now();
          const until = Math.ceil(deadline.at + this.#clockOffset);
          const reply = await evaluate<T>(send, script, keys, [String(until), ...args]);
          this.#learnClock(reply[1], sentAt);
          if (reply[0] !== 'late') return reply;
        }
        throw storeUnavailable('Redis came to it only after the deadline');
      },
    };
  }

  /** First commands of a new connection: the clock, and whether this Redis is new enough. Waits while it loads its data. */
  async #greet(signal: AbortSignal, state: StartState): Promise<void> {
    for (;;) {
      try {
        // TIME and INFO are answered while Redis loads, PING is not.
        await this.#client.sendCommand(['PING'], { abortSignal: signal });
        const sentAt = performance.now();
        const [seconds, micros] = await this.#client.sendCommand<[string, string]>(['TIME'], { abortSignal: signal });
        const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
        this.#clockOffset = now - sentAt;
        this.#learnClock(now, sentAt);
        const info = await this.#client.sendCommand<string>(['INFO', 'server'], { abortSignal: signal });
        const [, major = '0', minor = '0'] = /redis_version:(\d+)\.(\d+)/.exec(info) ?? [];
        if (Number(major) * 100 + Number(minor) < 602) throw new Error(`is version ${major}.${minor}`);
        return;
      } catch (error) {
        if (signal.aborted || !(error instanceof ErrorReply) || !error.message.startsWith('LOADING')) throw error;
        state.lastError = error;
        await pause(LOADING_POLL_MS);
      }
    }
  }

  /** Redis said `serverMs` at some moment between `sentAt` and now: keep the offset within what that allows. */
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
    // Our own deadline covers a command on the wire as well; the client's ends when it is written.
    commandOptions: { timeout: 0 },
    // A connection that is dead without saying so: a ping each deadline, cut when nothing has come for two.
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
    // Not known yet, or no more since a restart.
    if (!(error instanceof ErrorReply) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await send<T>(['EVAL', script.lua, ...rest]);
  }
}
