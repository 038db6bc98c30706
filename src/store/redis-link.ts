/** The connection to Redis: starts or says what to do, reconnects by itself, gives every operation one deadline. Runs in agent threads. */
import { createClient, ErrorReply, RESP_TYPES, type RedisArgument } from 'redis';
import { FairleadError } from '../errors.js';
import { isForeign, unavailable, withDeadline, type Deadline } from './deadline.js';
import type { Script } from './redis-scripts.js';
import type { StoreOptions } from './store.js';

/** How long the start waits for a Redis that is not there. */
const START_MS = 3000;
const LOADING_POLL_MS = 100;
/** Commands that wait to be sent or answered, all sessions of a thread together. */
const MAX_QUEUED = 10_000;
const MAX_BACKOFF_MS = 1000;
const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
/** Replies that pass: Redis is there and cannot serve now. The first word of the reply. */
const PASSING = new Set(
  'OOM READONLY LOADING BUSY MASTERDOWN CLUSTERDOWN TRYAGAIN MISCONF NOREPLICAS NOAUTH WRONGPASS NOPERM UNKILLABLE'.split(
    ' ',
  ),
);
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR unknown command|ERR DB index|NOPROTO)/;

type Client = ReturnType<typeof connectTo>;

/** The commands of one operation; they end at its deadline. */
export interface RedisCall {
  send<T>(args: RedisArgument[]): Promise<T>;
  /** Bulk strings come as Buffers. */
  sendBinary<T>(args: RedisArgument[]): Promise<T>;
  run<T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
  runBinary<T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
  /** Runs a script whose ARGV[1] is the deadline and whose reply is {outcome, Redis's time, …}; 'late' never comes out of it. */
  write<T extends [string, number, ...unknown[]]>(script: Script, keys: string[], args: RedisArgument[]): Promise<T>;
}

export class RedisLink {
  readonly #client: Client;
  readonly #options: StoreOptions;
  /** Redis's wall clock minus our `performance.now()`, ms. */
  #clockOffset = 0;
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
      await withDeadline(START_MS, 'Redis', async ({ signal }) => {
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

  /** Runs an operation against its deadline; what comes out is its result or a FairleadError. */
  async call<T>(operation: string, work: (call: RedisCall) => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await withDeadline(this.#options.limits.timeoutMs, 'Redis', (deadline) => work(this.#callUntil(deadline)));
    } catch (error) {
      throw asStoreError(error);
    } finally {
      this.#options.observe?.(operation, (performance.now() - started) / 1000);
    }
  }

  /** Waits for what is under way, within the deadline of one command. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await withDeadline(this.#options.limits.timeoutMs, 'Redis', () => this.#client.close());
    } catch (error) {
      this.#options.onError?.('close', error);
      this.#client.destroy();
    }
  }

  #callUntil(deadline: Deadline): RedisCall {
    // A command that is still in the client's queue at the deadline is taken out of it; one that is on the wire cannot be.
    const text = { abortSignal: deadline.signal };
    const binary = { ...text, ...BINARY };
    const send = <T>(args: RedisArgument[]): Promise<T> => this.#client.sendCommand<T>(args, text);
    const sendBinary = <T>(args: RedisArgument[]): Promise<T> => this.#client.sendCommand<T>(args, binary);
    const run = <T>(script: Script, keys: string[], args: RedisArgument[]): Promise<T> =>
      evaluate<T>(send, script, keys, args);
    return {
      send,
      sendBinary,
      run,
      runBinary: (script, keys, args) => evaluate(sendBinary, script, keys, args),
      write: async <T extends [string, number, ...unknown[]]>(
        script: Script,
        keys: string[],
        args: RedisArgument[],
      ) => {
        // A second try only where Redis's clock was not what we thought: its first answer has told us.
        for (let tries = 1; tries <= 2; tries++) {
          const sentAt = performance.now();
          const until = Math.ceil(deadline.at + this.#clockOffset);
          const reply = await run<T>(script, keys, [String(until), ...args]);
          this.#learnClock(reply[1], sentAt);
          if (reply[0] !== 'late') return reply;
        }
        throw unavailable('Redis came to it only after the deadline');
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
        await new Promise((resolve) => setTimeout(resolve, LOADING_POLL_MS));
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
        state.starting && isRefusal(cause)
          ? cause
          : Math.min(50 * 2 ** retries, MAX_BACKOFF_MS) * (0.5 + Math.random() / 2),
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

function asStoreError(error: unknown): unknown {
  if (error instanceof ErrorReply) {
    const [word = ''] = error.message.split(' ', 1);
    if (PASSING.has(word)) return unavailable(`Redis cannot serve now: ${error.message}`, error);
    return new FairleadError('ERR_INTERNAL', `Redis refused a command: ${error.message}`, { cause: error });
  }
  // The connection, or its full queue.
  return isForeign(error) ? unavailable(`Redis is away: ${messageOf(error)}`, error) : error;
}

function isRefusal(error: unknown): error is Error {
  return error instanceof ErrorReply && REFUSED.test(error.message);
}

function whatToDo(error: unknown): string {
  const said = messageOf(error);
  if (/^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH)/.test(said)) {
    return `does not let us in (${said}): put the right user and password in store.redisUrl (REDIS_URL)`;
  }
  if (/^(ERR unknown command|NOPROTO|is version)/.test(said)) {
    return `is too old (${said}): Redis 6.2 or newer is needed`;
  }
  if (said.startsWith('LOADING')) return 'is still loading its data: start again when it is done';
  return `cannot be used (${said}): start it, correct store.redisUrl (REDIS_URL), or leave that empty for the embedded store`;
}

function messageOf(error: unknown): string {
  // Node's error for a name with several addresses has its messages inside.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ');
  return error instanceof Error ? error.message : String(error);
}

/** The URL without user and password. What cannot be parsed is not shown: the secret may be anywhere in it. */
function addressOf(url: string): string {
  if (!URL.canParse(url)) {
    throw new FairleadError(
      'ERR_START',
      'store.redisUrl (REDIS_URL) is no URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB] is expected',
    );
  }
  const { protocol, host, pathname, username, password } = new URL(url);
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw new FairleadError(
      'ERR_START',
      `store.redisUrl (REDIS_URL) starts with ${protocol}//, not redis:// or rediss://`,
    );
  }
  if (!/^\/?\d*$/.test(pathname))
    throw new FairleadError('ERR_START', `store.redisUrl (REDIS_URL): ${pathname} is no database number`);
  try {
    decodeURIComponent(username + password);
  } catch {
    throw new FairleadError('ERR_START', 'store.redisUrl (REDIS_URL): % in user or password must be written %25');
  }
  return `${protocol}//${host}${pathname}`;
}
