/** The sockets that uWebSockets listens on, with TLS or without, and the change of a certificate under way. Only it loads uWebSockets. Main thread. */
import './head-bytes.js'; // before uWebSockets
import uws, { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import { listenError } from '../front/listen.js';
import type { CertificateFiles } from '../shared/certificate.js';
import { FairleadError } from '../shared/errors.js';

/** uSockets' option, missing from the package's types. By default a second server would silently share the port. */
const LISTEN_EXCLUSIVE_PORT = 1;

export interface ListenerOptions {
  host: string;
  /** 0: a free one. */
  port: number;
  /** Absent: plain HTTP. */
  tls?: CertificateFiles | undefined;
  /** Gives an app its routes. Called for each certificate anew. */
  attach: (app: TemplatedApp) => void;
}

export class Listener {
  readonly #options: ListenerOptions;
  /** The last one takes new connections; those before it keep theirs. */
  readonly #apps: TemplatedApp[] = [];
  #socket: us_listen_socket | undefined;
  #port: number;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  /** Where it listens; before that the port of the configuration. */
  get port(): number {
    return this.#port;
  }

  get listening(): boolean {
    return this.#socket !== undefined;
  }

  /** ERR_START when the address cannot be listened on. */
  async listen(): Promise<void> {
    const app = this.#newApp();
    const found = await this.#bind(app);
    if (!found) throw await listenError(this.#options.host, this.#port);
    const isAny = this.#port === 0;
    this.#port = uws.us_socket_local_port(found);
    this.#socket = found;
    // The kernel lets nobody have the port of open connections again, unless it was asked for by its number.
    if (isAny && this.#options.tls) await this.#take(app);
  }

  /**
   * New connections get the certificate that the files hold now; open ones go on. ERR_START when it cannot be used: then
   * everything stays. A connection that comes in this very moment may be reset.
   */
  async renew(): Promise<void> {
    if (!this.#socket) return;
    const before = this.#apps.at(-1);
    const app = this.#newApp();
    // In the check phase of the event loop, what had come before it has been accepted.
    await new Promise((resolve) => setImmediate(resolve));
    if (!this.#socket) return; // it was closed meanwhile
    try {
      await this.#take(app);
    } catch (error) {
      if (before) await this.#take(before);
      throw error;
    }
  }

  /** Takes no new connections. */
  stop(): void {
    if (this.#socket) uws.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Cuts all connections. */
  close(): void {
    this.stop();
    for (const app of this.#apps.splice(0)) app.close();
  }

  async #take(app: TemplatedApp): Promise<void> {
    this.stop();
    const found = await this.#bind(app);
    if (!found) throw await listenError(this.#options.host, this.#port);
    this.#socket = found;
  }

  #newApp(): TemplatedApp {
    const { tls, attach } = this.#options;
    const app = tls ? secureApp(tls) : uws.App();
    attach(app);
    this.#apps.push(app);
    return app;
  }

  #bind(app: TemplatedApp): Promise<us_listen_socket | false> {
    // The native function takes options after the port even with a host; its types do not say so.
    const native = app as unknown as {
      listen(host: string, port: number, options: number, callback: (token: us_listen_socket | false) => void): void;
    };
    const { host } = this.#options;
    return new Promise((resolve) => native.listen(host, this.#port, LISTEN_EXCLUSIVE_PORT, resolve));
  }
}

/** uSockets' contexts speak TLS 1.2 and 1.3. */
function secureApp({ cert, key }: CertificateFiles): TemplatedApp {
  try {
    return uws.SSLApp({ cert_file_name: cert, key_file_name: key, ssl_prefer_low_memory_usage: true });
  } catch (error) {
    throw new FairleadError('ERR_START', `listen.tls: TLS does not take ${cert} with ${key}`, { cause: error });
  }
}
