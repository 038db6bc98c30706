/**
 * /socket.io/: clients of Socket.IO beside those of the raw WebSocket. Its own library speaks its protocols, on the front's uWebSockets
 * apps; every client is a `Connection` as the raw socket's are. The library is loaded only where it is wanted. Main thread.
 */
import type { Server, Socket as IoSocket } from 'socket.io';
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocketBehavior } from 'uWebSockets.js';
import type { Auth } from '../front/auth.js';
import { Connection, type ConnectionContext } from '../front/connection.js';
import { badFrame } from '../front/frames.js';
import { Exchange, type RequestHead } from '../front/http.js';
import type { LogIns } from '../front/log-ins.js';
import type { Origins } from '../front/origin.js';
import { preflight } from '../front/router.js';
import { wishOf } from '../front/socket-io/handshake.js';
import { Newcomers } from '../front/socket-io/newcomers.js';
import { NotAttached, Peer, type Carrier } from '../front/socket-io/peer.js';
import type { Strangers } from '../front/strangers.js';
import { judgeUpgrade } from '../front/upgrade.js';
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';

const PATH = '/socket.io/';
const METHODS = ['GET', 'POST', 'OPTIONS'];
/** Until then a client must have said who it is; as long as the head of a request may take. */
const CONNECT_MS = 10_000;
/** The body of a poller's request. */
const BODY_MS = 10_000;
/** So long a poller may take to fetch why it was closed. The library's own 30 s keep all that was to be sent to one that has gone. */
const FAREWELL_MS = 2_000;
/** What a request of a poller counts beside its bytes, which count as they are read. */
const REQUEST_BYTES = 512;

type Answer = (res: HttpResponse, req: HttpRequest) => void;
/** The library reads the request's fields into this object, which it keeps. */
type Request = HttpRequest & object;

export interface SocketIoOptions extends Omit<ConnectionContext, 'auth' | 'strangers' | 'logIns' | 'limits'> {
  auth: Auth;
  strangers: Strangers;
  logIns?: LogIns;
  origins: Origins;
  limits: Config['limits'];
  notServing?: (() => FairleadError | undefined) | undefined;
  /** The head of a request that no foreign page has sent; undefined: it is answered already. */
  admit: (res: HttpResponse, req: HttpRequest, route: string) => RequestHead | undefined;
}

/** A request of a client; one that opens a connection counts as a newcomer's until it is settled. */
interface Handshake {
  head: RequestHead;
  settled: boolean;
}

export class SocketIoDoor {
  readonly #options: SocketIoOptions;
  readonly #server: Server;
  /** What the library would have given to an app. */
  #answer: Answer | undefined;
  #behavior: WebSocketBehavior<unknown> | undefined;
  readonly #newcomers: Newcomers;
  readonly #handshakes = new WeakMap<object, Handshake>();
  /** By the id of what carries them. */
  readonly #peers = new Map<string, Peer>();
  readonly #byTransport = new WeakMap<object, Peer>();

  private constructor(options: SocketIoOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    this.#newcomers = new Newcomers(() => options.limits.perAddress.pendingSockets);
    // A new certificate has an app of its own, and all apps share one engine: so the library is not given the apps.
    const app = {
      any: (_path: string, answer: Answer) => ((this.#answer = answer), app),
      ws: (_path: string, behavior: WebSocketBehavior<unknown>) => ((this.#behavior = behavior), app),
    };
    server.attachApp(app);
    const { engine } = server;
    engine.on('connection', (carrier: Carrier) => this.#carried(carrier));
    engine.on('connection_error', ({ req }: { req: object }) => this.#settle(this.#handshakes.get(req)));
    engine.on('headers', (headers: Record<string, string>, req: object) => this.#addHeaders(headers, req));
    server.use((socket, next) => void this.#admit(socket, next));
    server.on('connection', (socket) => this.#peers.get(idOf(socket))?.join(socket));
  }

  static async open(options: SocketIoOptions): Promise<SocketIoDoor> {
    const { Server } = await import('socket.io');
    const server = new Server({
      path: PATH,
      serveClient: false,
      transports: ['polling', 'websocket'],
      maxHttpBufferSize: options.limits.maxFrameBytes,
      connectTimeout: CONNECT_MS,
      httpCompression: false,
      perMessageDeflate: false,
      httpRequestBodyTimeout: BODY_MS,
    });
    return new SocketIoDoor(options, server);
  }

  mount(app: TemplatedApp): void {
    const { limits, admit, log } = this.#options;
    const behavior = this.#behavior!;
    app.ws(PATH, {
      ...behavior,
      maxPayloadLength: limits.maxFrameBytes,
      maxBackpressure: limits.maxUnsentBytes,
      closeOnBackpressureLimit: 1,
      idleTimeout: Math.ceil(limits.idleTimeoutMs / 1000),
      sendPingsAutomatically: true,
      upgrade: (res, req, context: us_socket_context_t) => {
        const head = admit(res, req, PATH);
        if (!head) return;
        const refused = this.#refusal(head, 'websocket', req);
        if (refused) refuse(new Exchange(res, head, log), refused);
        else void behavior.upgrade!(res, req, context);
      },
      drain: (ws) => this.#byTransport.get((ws.getUserData() as { transport: object }).transport)?.drained(),
    });
    app.any(PATH, (res, req) => {
      const head = admit(res, req, PATH);
      if (!head) return;
      const exchange = (): Exchange => {
        const made = new Exchange(res, head, log);
        made.headers = this.#options.origins.corsHeaders(head.origin);
        return made;
      };
      if (head.method === 'OPTIONS') return preflight(exchange(), METHODS);
      const refused = this.#refusal(head, 'polling', req);
      if (refused) return refuse(exchange(), refused);
      return this.#answer!(res, req);
    });
  }

  /** Cuts all clients. */
  close(): void {
    this.#server.engine.close();
  }

  /** Why a request goes no further. The library ends the process for some that are not as they should be, so it gets no others. */
  #refusal(head: RequestHead, transport: 'polling' | 'websocket', req: Request): FairleadError | undefined {
    const { strangers, budget } = this.#options;
    const query = new URLSearchParams(head.query);
    const [sid, ...more] = query.getAll('sid');
    if (query.getAll('transport').join() !== transport || query.getAll('EIO').join() !== '4' || more.length > 0) {
      return badFrame(`a client of Socket.IO 3 or newer asks this path for EIO=4 and transport=${transport}`);
    }
    if (head.method !== 'GET' && (head.method !== 'POST' || transport === 'websocket' || sid === undefined)) {
      return new FairleadError('ERR_METHOD_NOT_ALLOWED', 'this resource takes GET, and POST of a client that is known');
    }
    this.#handshakes.set(req, { head, settled: true });
    if (sid) {
      const peer = this.#peers.get(sid);
      // The library tells a client that it does not know to begin anew.
      if (!peer) return strangers.asked(head.address);
      return peer.user === '' ? undefined : budget.spend(peer.user, REQUEST_BYTES);
    }
    const full = this.#newcomers.enter(head.address);
    if (full) return full;
    this.#handshakes.set(req, { head, settled: false });
    return undefined;
  }

  #settle(handshake: Handshake | undefined): void {
    if (!handshake || handshake.settled) return;
    handshake.settled = true;
    this.#newcomers.left(handshake.head.address);
  }

  #carried(carrier: Carrier): void {
    const handshake = this.#handshakes.get(carrier.request)!;
    const peer = new Peer(carrier, handshake.head, this.#options.limits.maxUnsentBytes);
    const id = idOf({ conn: carrier });
    Object.assign(carrier.transport, { closeTimeout: FAREWELL_MS });
    this.#peers.set(id, peer);
    this.#byTransport.set(carrier.transport, peer);
    carrier.on('upgrade', (transport: object) => this.#byTransport.set(transport, peer));
    carrier.on('close', () => {
      this.#peers.delete(id);
      this.#settle(handshake);
    });
  }

  /** `next` is called in any case: the library forgets a client that has gone meanwhile only then. */
  async #admit(socket: IoSocket, next: (error?: Error) => void): Promise<void> {
    let refused: Error | undefined;
    try {
      await this.#attach(socket);
    } catch (error) {
      refused = error instanceof NotAttached ? error : new Error('internal error');
      if (refused !== error) this.#options.log.error({ err: (error as Error).message }, 'attach failed');
    }
    next(refused);
  }

  /** Rejects with what the client is told. One that had better come back is cut instead, and then comes back by itself. */
  async #attach(socket: IoSocket): Promise<void> {
    const { auth, strangers, logIns, notServing, limits } = this.#options;
    const peer = this.#peers.get(idOf(socket));
    if (!peer) return; // it has gone, and the library looks for that
    const { head } = peer;
    const { replays, ...wish } = wishOf(head, socket.handshake.auth);
    const judges = { auth, strangers, notServing, ...(logIns && { logIns }) };
    const opening = await judgeUpgrade(judges, { ...head, ...wish, protocols: '' });
    this.#settle(this.#handshakes.get(socket.conn.request));
    const connection = new Connection({ ...this.#options, limits }, opening, head.requestId);
    try {
      const session = await peer.attach(connection, replays);
      // The library's client sends this when it comes back.
      Object.assign(socket, { pid: session });
    } catch (error) {
      if (!(error instanceof NotAttached) || !error.again) throw error;
      socket.conn.close();
    }
  }

  #addHeaders(headers: Record<string, string>, req: object): void {
    const head = this.#handshakes.get(req)?.head;
    if (!head) return;
    Object.assign(headers, Object.fromEntries(this.#options.origins.corsHeaders(head.origin)));
    headers['X-Request-Id'] = head.requestId;
  }
}

function idOf({ conn }: { conn: Carrier }): string {
  return (conn as unknown as { id: string }).id;
}

function refuse(exchange: Exchange, error: FairleadError): void {
  exchange.route = PATH;
  exchange.fail(error);
}
