/**
 * Tells systemd READY, STATUS, WATCHDOG and STOPPING through its own library (sd_notify). Without NOTIFY_SOCKET it does
 * nothing and loads nothing. Main thread.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { VERSION } from '../shared/version.js';

const LIBRARY = 'libsystemd.so.0';
const TICK_MS = 500;
const TOLD_MS = 1_000;

/** What systemd is told about the engine. */
export interface Service {
  url: string;
  /** The answer of /readyz. */
  readiness(): { ready: boolean; reasons: string[] };
  /** The event loops of all threads turn. */
  healthy(): boolean;
}

export interface ServiceManager {
  status(text: string): void;
  /**
   * Sends READY=1 at once, STATUS at each change of /readyz, and WATCHDOG=1 while the service is healthy. READY does not wait for
   * /readyz: systemd would end a server that waits for its model, and give up after some starts.
   */
  follow(service: Service): void;
  /** The configuration is read again, until `reloaded`. */
  reloading(): void;
  reloaded(): void;
  stopping(): void;
  /** Resolves when all lines have been sent, or after a second: a systemd that does not read keeps no process. */
  told(): Promise<void>;
  close(): void;
}

/** Carries lines to systemd. */
export interface NotifySocket {
  /** Rejects when systemd refuses the line. */
  send(state: string): Promise<void>;
  /** How often systemd expects WATCHDOG=1, ms; 0: never. */
  watchdogMs: number;
}

const NO_MANAGER: ServiceManager = {
  status: () => undefined,
  follow: () => undefined,
  reloading: () => undefined,
  reloaded: () => undefined,
  stopping: () => undefined,
  told: async () => undefined,
  close: () => undefined,
};

/** ERR_START when NOTIFY_SOCKET is set and the library cannot be used: systemd would kill the process later without a reason. */
export async function openServiceManager(log: Logger): Promise<ServiceManager> {
  if (!process.env['NOTIFY_SOCKET']) return NO_MANAGER;
  return new Systemd(await openNotifySocket(), log);
}

async function openNotifySocket(): Promise<NotifySocket> {
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(LIBRARY);
    const notify = library.func('int sd_notify(int unset, str state)');
    // Reads WATCHDOG_USEC if WATCHDOG_PID is this process or not set.
    const watchdogEnabled = library.func('int sd_watchdog_enabled(int unset, _Out_ uint64_t *usec)');
    const usec = [0];
    const enabled = Number(watchdogEnabled(0, usec)) > 0;
    return {
      watchdogMs: enabled ? Number(usec[0]) / 1_000 : 0,
      // Runs on a thread of libuv's pool, since a systemd that does not read its socket would block the main thread.
      send: (state) =>
        new Promise((resolve, reject) => {
          notify.async(0, state, (error: Error | null, result: number) => {
            if (error) reject(error);
            else if (result < 0) reject(new Error(`sd_notify: errno ${-result}`));
            else resolve();
          });
        }),
    };
  } catch (error) {
    throw new FairleadError(
      'ERR_START',
      `NOTIFY_SOCKET is set, but systemd cannot be notified: ${(error as Error).message}. ` +
        `Install ${LIBRARY} (package libsystemd0) and the optional dependency koffi, or set Type=exec in the unit`,
      { cause: error },
    );
  }
}

export class Systemd implements ServiceManager {
  readonly #socket: NotifySocket;
  readonly #log: Logger;
  /** The last line; the next one waits for it, so that lines arrive in order. */
  #sent: Promise<void> = Promise.resolve();
  #unsent = 0;
  #timer: NodeJS.Timeout | undefined;
  #status = '';
  #started = false;
  #stopping = false;
  #pingedAt = -Infinity;

  constructor(socket: NotifySocket, log: Logger) {
    this.#socket = socket;
    this.#log = log;
  }

  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send(statusLine(text));
  }

  follow(service: Service): void {
    const { watchdogMs } = this.#socket;
    const tickMs = watchdogMs === 0 ? TICK_MS : Math.min(TICK_MS, watchdogMs / 8);
    const tick = (): void => {
      this.#tell(service);
      // systemd asks for a ping at half of its limit. A ping that a hanging loop has delayed follows when the loop turns.
      const due = performance.now() - this.#pingedAt >= watchdogMs / 2 - tickMs;
      if (watchdogMs === 0 || !due || this.#unsent > 0 || !service.healthy()) return;
      this.#pingedAt = performance.now();
      this.#send('WATCHDOG=1');
    };
    tick();
    this.#timer = setInterval(tick, tickMs);
    this.#timer.unref();
  }

  /** systemd waits for `reloaded` with its reload; the time tells it that this answer is to its own signal (`Type=notify-reload`). */
  reloading(): void {
    if (this.#started && !this.#stopping) this.#send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  reloaded(): void {
    if (this.#started && !this.#stopping) this.#send('READY=1');
  }

  stopping(): void {
    this.#stopping = true;
    this.#status = 'draining';
    this.#send(`STOPPING=1\n${statusLine('draining')}`);
  }

  async told(): Promise<void> {
    const late = new AbortController();
    await Promise.race([this.#sent, delay(TOLD_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tell(service: Service): void {
    if (this.#stopping) return;
    const { url } = service;
    const { ready, reasons } = service.readiness();
    const status = ready ? `ready at ${url}` : `not ready: ${reasons.join(', ')}`;
    if (this.#started) return this.status(status);
    this.#started = true;
    this.#status = status;
    this.#send(`READY=1\n${statusLine(status)}`);
  }

  #send(state: string): void {
    this.#unsent++;
    this.#sent = this.#sent
      .then(() => this.#socket.send(state))
      .catch((error: unknown) => this.#log.warn({ err: (error as Error).message, state }, 'systemd was not notified'))
      .finally(() => this.#unsent--);
  }
}

/** With the version, which an upgrade waits for. A line break would begin a new assignment. */
function statusLine(text: string): string {
  return `STATUS=Fairlead ${VERSION}: ${text.replaceAll(/[\r\n]+/g, ' ')}`;
}
