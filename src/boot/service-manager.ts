/**
 * What systemd is told of this process: READY, STATUS, WATCHDOG, STOPPING, through its own library (sd_notify). Where
 * NOTIFY_SOCKET is not set nobody asks, and nothing is loaded. Main thread.
 */
import { FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';

const LIBRARY = 'libsystemd.so.0';
const TICK_MS = 500;

/** What systemd wants to know of the engine. */
export interface Service {
  url: string;
  /** What /readyz answers. */
  readiness(): { ready: boolean; reasons: string[] };
  /** The event loops of all threads turn. */
  healthy(): boolean;
}

export interface ServiceManager {
  status(text: string): void;
  /** From now on: READY=1 the first time that it is ready, its state as STATUS, and WATCHDOG=1 while it is healthy. */
  follow(service: Service): void;
  stopping(): void;
  close(): void;
}

/** How lines reach systemd. */
export interface NotifySocket {
  /** Rejects when systemd does not take it. */
  send(state: string): Promise<void>;
  /** How often systemd wants a sign of life of this process, ms; 0: never. */
  watchdogMs: number;
}

const NO_MANAGER: ServiceManager = {
  status: () => undefined,
  follow: () => undefined,
  stopping: () => undefined,
  close: () => undefined,
};

/** ERR_START when systemd waits for word from us and its library cannot be used: it would kill us later, and not say why. */
export async function openServiceManager(log: Logger): Promise<ServiceManager> {
  if (!process.env['NOTIFY_SOCKET']) return NO_MANAGER;
  return new Systemd(await openNotifySocket(), log);
}

async function openNotifySocket(): Promise<NotifySocket> {
  try {
    const { default: koffi } = await import('koffi');
    const library = koffi.load(LIBRARY);
    const notify = library.func('int sd_notify(int unset, str state)');
    // WATCHDOG_USEC, where WATCHDOG_PID is this process or not set.
    const watchdogEnabled = library.func('int sd_watchdog_enabled(int unset, _Out_ uint64_t *usec)');
    const usec = [0];
    const enabled = Number(watchdogEnabled(0, usec)) > 0;
    return {
      watchdogMs: enabled ? Number(usec[0]) / 1_000 : 0,
      // On a thread of libuv's pool: a systemd that does not read its socket must not hold the main thread.
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
      `NOTIFY_SOCKET is set, but systemd cannot be told: ${(error as Error).message}. ` +
        `It takes ${LIBRARY} (package libsystemd0) and the optional dependency koffi; or Type=exec in the unit`,
      { cause: error },
    );
  }
}

export class Systemd implements ServiceManager {
  readonly #socket: NotifySocket;
  readonly #log: Logger;
  /** One at a time, so that they arrive in their order. */
  #sent: Promise<void> = Promise.resolve();
  #unsent = 0;
  #timer: NodeJS.Timeout | undefined;
  #status = '';
  #ready = false;
  #stopping = false;
  #pingedAt = -Infinity;

  constructor(socket: NotifySocket, log: Logger) {
    this.#socket = socket;
    this.#log = log;
  }

  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send(`STATUS=${oneLine(text)}`);
  }

  follow(service: Service): void {
    const { watchdogMs } = this.#socket;
    const tickMs = watchdogMs === 0 ? TICK_MS : Math.min(TICK_MS, watchdogMs / 8);
    const tick = (): void => {
      this.#tell(service);
      // At half of what systemd allows, as it asks for; a sign that was due while a loop stood still follows when it turns.
      const due = performance.now() - this.#pingedAt >= watchdogMs / 2 - tickMs;
      if (watchdogMs === 0 || !due || this.#unsent > 0 || !service.healthy()) return;
      this.#pingedAt = performance.now();
      this.#send('WATCHDOG=1');
    };
    tick();
    this.#timer = setInterval(tick, tickMs);
    this.#timer.unref();
  }

  stopping(): void {
    this.#stopping = true;
    this.#status = 'draining';
    this.#send('STOPPING=1\nSTATUS=draining');
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tell(service: Service): void {
    if (this.#stopping) return;
    const { url } = service;
    const { ready, reasons } = service.readiness();
    if (ready && !this.#ready) {
      this.#ready = true;
      this.#status = `ready at ${url}`;
      this.#send(`READY=1\nSTATUS=${this.#status}`);
    } else {
      this.status(ready ? `ready at ${url}` : `not ready: ${reasons.join(', ')}`);
    }
  }

  #send(state: string): void {
    this.#unsent++;
    this.#sent = this.#sent
      .then(() => this.#socket.send(state))
      .catch((error: unknown) => this.#log.warn({ err: (error as Error).message, state }, 'systemd was not told'))
      .finally(() => this.#unsent--);
  }
}

/** A line break would begin another assignment. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}
