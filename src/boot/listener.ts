/** The sockets that uWebSockets listens on, with TLS or without, and the change of a certificate under way. Only it loads uWebSockets. Main thread. */
import './head-bytes.js'; // before uWebSockets
import uws, { type TemplatedApp, type us_listen_socket } from 'uWebSockets.js';
import { listenError, whyNotListen } from '../front/listen.js';
import type { CertificateFiles } from '../shared/certificate.js';
import { FairleadError } from '../shared/errors.js';
import { newestFirst } from './newest-first.js';

/** uSockets' options, missing from the package's types. A shared port is one that several sockets of this account may listen on. */
const SHARED_PORT = 0;
const EXCLUSIVE_PORT = 1;
/** A socket that gets nothing new has nothing left to accept: the kernel repeats its answer to a client that opens after 1 and 3 s. */
const HANDSHAKE_MS = 5_000;

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
  /** The last one takes new connections; those before it keep theirs. uWebSockets frees none before its end: 25 KB each. */
  readonly #apps: TemplatedApp[] = [];
  #socket: us_listen_socket | undefined;
  /** That of the certificate before, until all that it was given has been accepted. */
  #former: { socket: us_listen_socket; timer: NodeJS.Timeout } | undefined;
  /** Of two sockets the kernel gives new connections to the newer one. */
  #newestFirst = false;
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
    const { host, tls } = this.#options;
    const app = this.#newApp();
    const isAny = this.#port === 0;
    // A second server would silently share a shared port.
    if (tls && !isAny && (await whyNotListen(host, this.#port)) !== '') throw await listenError(host, this.#port);
    this.#socket = await this.#bind(app);
    this.#port = uws.us_socket_local_port(this.#socket);
    if (!tls) return;
    if (isAny) {
      // uSockets shares only a port that was asked for by its number.
      uws.us_listen_socket_close(this.#socket);
      this.#socket = await this.#bind(app);
    }
    this.#newestFirst = await newestFirst(this.#port);
  }

  /**
   * New connections get the certificate that the files hold now; open ones go on, and so do those that are being opened, with the
   * one of before. ERR_START when it cannot be used: then everything stays.
   */
  async renew(): Promise<void> {
    if (!this.#socket) return;
    const app = this.#newApp();
    this.#closeFormer(); // the kernel's choice is of two
    const socket = await this.#bind(app).catch((error: unknown) => {
      this.#apps.pop();
      app.close();
      throw error;
    });
    const former = this.#socket;
    this.#socket = socket;
    // Without the kernel's help half of what comes would still be given to the former one: what comes in this very moment is reset.
    if (!this.#newestFirst) return uws.us_listen_socket_close(former);
    this.#former = { socket: former, timer: setTimeout(() => this.#closeFormer(), HANDSHAKE_MS).unref() };
    return undefined;
  }

  /** Takes no new connections. */
  stop(): void {
    this.#closeFormer();
    if (this.#socket) uws.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Cuts all connections. */
  close(): void {
    this.stop();
    for (const app of this.#apps.splice(0)) app.close();
  }

  #closeFormer(): void {
    if (!this.#former) return;
    const { socket, timer } = this.#former;
    clearTimeout(timer);
    uws.us_listen_socket_close(socket);
    this.#former = undefined;
  }

  #newApp(): TemplatedApp {
    const { tls, attach } = this.#options;
    const app = tls ? secureApp(tls) : uws.App();
    attach(app);
    this.#apps.push(app);
    return app;
  }

  /** ERR_START when the address cannot be listened on. */
  async #bind(app: TemplatedApp): Promise<us_listen_socket> {
    // The native function takes options after the port even with a host; its types do not say so.
    const native = app as unknown as {
      listen(host: string, port: number, options: number, callback: (token: us_listen_socket | false) => void): void;
    };
    const { host, tls } = this.#options;
    const port = this.#port;
    const option = tls ? SHARED_PORT : EXCLUSIVE_PORT;
    const socket = await new Promise<us_listen_socket | false>((resolve) => native.listen(host, port, option, resolve));
    if (!socket) throw await listenError(host, port);
    return socket;
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
