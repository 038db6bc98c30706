/** The front: serves WebSockets and HTTP with uWebSockets. Main thread. */
import { setTimeout as delay } from 'node:timers/promises';
import type { HttpRequest, HttpResponse, TemplatedApp, WebSocket } from 'uWebSockets.js';
import { ownNames } from '../shared/certificate.js';
import { seesServer } from '../shared/kept-for-groups.js';
import { liveSection } from '../shared/live-view.js';
import type { Person } from '../shared/person.js';
import { oauthIdentity, publicBase, type OAuthIdentity } from '../shared/oauth-identity.js';
import { SandboxDesk } from '../admin/sandbox-desk.js';
import { answeredProtocol, Auth } from '../front/auth.js';
import type { Site } from '../front/browser/cookie-text.js';
import { ByteBudget } from '../front/byte-budget.js';
import { ClientAddresses } from '../front/client-address.js';
import { Connection, type ConnectionContext } from '../front/connection.js';
import { Exchange, type RequestHead } from '../front/http.js';
import { Hub } from '../front/hub.js';
import { LogIns } from '../front/log-ins.js';
import { Hosts, namesOf } from '../front/hosts.js';
import { McpExchanges } from '../front/mcp-exchanges.js';
import { MetricsAccess } from '../front/metrics-access.js';
import { startMetricsServer, type MetricsServer } from '../front/metrics-server.js';
import { Origins } from '../front/origin.js';
import { JwtPeople } from '../front/oidc/jwt-people.js';
import { CLOSE } from '../shared/protocol.js';
import { DRAINS, Presence } from '../front/presence.js';
import { RefusalLog } from '../front/refusal-log.js';
import { RefusedActs } from '../front/refused-acts.js';
import { RequestRate } from '../front/request-rate.js';
import { Router, type Route } from '../front/router.js';
import { allRoutes } from '../front/routes/all.js';
import { Heartbeats } from '../front/sse.js';
import { Strangers } from '../front/strangers.js';
import { judgeUpgrade } from '../front/upgrade.js';
import { CertificateWatch } from './certificate-watch.js';
import type { FrontOptions } from './front-options.js';
import { Listener } from './listener.js';
import { readHead } from './request-head.js';
import { SocketIoDoor } from './socket-io-door.js';

/** After the close frames and last answers, the kernel gets this time to send them before the sockets are destroyed. */
const CLOSE_GRACE_MS = 100;

/** A plain object, since uWebSockets copies its properties onto its own socket object: a class would not survive that. */
interface UserData {
  connection: Connection;
}

export interface Front {
  /** ERR_START when the address cannot be listened on. */
  listen(): Promise<{ host: string; port: number; url: string }>;
  /** Who Fairlead is to authorization servers. Undefined until it listens: before that no user could come back to it. */
  identity(): OAuthIdentity | undefined;
  /** Where browsers reach it. */
  site(): Site;
  /** Delivers the sessions' events. */
  readonly hub: Hub;
  readonly routes: readonly Pick<Route, 'method' | 'path' | 'access' | 'body'>[];
  /** The open requests to /mcp. */
  readonly mcpExchanges: McpExchanges;
  /** Refuses new sockets, sessions and messages; /readyz answers 503. Running turns go on. */
  stopAccepting(): void;
  /** As `stopAccepting`, until it is taken back. */
  refuseNew(refused: boolean): void;
  /** Tells what listens to a session that is not busy to come back elsewhere. */
  closeResting(isBusy: (session: string) => boolean): void;
  /** Takes the names, origins and tokens of now; returns how many sockets and streams it has closed, since their token is gone. */
  applyConfig(): number;
  /** Closes the sockets and streams of whom `ends` is true; returns their number. */
  endCredentials(ends: (person: Person) => boolean, code: number, reason: string): number;
  /** Closes every socket and stream with this code; resolves when the close frames have had time to leave. */
  closeAll(code: number, reason: string): Promise<void>;
  /** Reads the certificate's files again, for new connections. Never rejects: what is wrong with them is told in the log. */
  renewCertificate(): Promise<void>;
  /** Closes the listener and whatever is still connected. */
  close(): Promise<void>;
  /** The address of the metrics' own listener, if there is one. */
  metricsUrl(): string | undefined;
  /** Open sockets and streams, and sessions with a subscriber. */
  counts(): { connections: number; sessions: number };
}

export function createFront(options: FrontOptions): Front {
  const { config, agents, log, readiness, notServing, metrics, mcp, pins, forgetLogin } = options;
  const { listen } = config; // its live keys are read anew
  const limits = liveSection(() => config.limits);
  const perAddress = liveSection(() => config.limits.perAddress);
  const hub = new Hub(agents, log);
  const presence = new Presence({
    limits,
    get quotas() {
      return config.quotas;
    },
    claims: options.claims,
  });
  const budget = new ByteBudget(() => limits.maxBytesPerSecond);
  const reads = new RequestRate({
    get perSecond() {
      return limits.maxReadsPerSecond;
    },
    get refusal() {
      return `this user sends more than ${limits.maxReadsPerSecond} GETs a second (limits.maxReadsPerSecond)`;
    },
  });
  const strangers = new Strangers(perAddress);
  const addresses = new ClientAddresses(listen.trustedProxies);
  const heartbeats = new Heartbeats();
  const mcpExchanges = new McpExchanges(agents, presence);
  const { oidc } = config.auth;
  const jwts = oidc && new JwtPeople({ oidc, proxies: config.proxies, log });
  const auth = new Auth(options.auth, { jwts, browsers: options.browsers?.browsers, live: options.credentials });
  if (options.browsers) options.browsers.browsers.findToken = (sha256, address) => auth.tokenHolder(sha256, address);
  const refusals = new RefusalLog(log);
  // A list of its own: bad tokens by the thousand must not hide the line of a page that is refused.
  const refusedLogIns = new RefusalLog(log);
  const logIns = new LogIns(refusedLogIns);
  const listener = new Listener({ ...listen, attach });
  let socketIo: SocketIoDoor | undefined;
  let certificate: CertificateWatch | undefined;
  let metricsServer: MetricsServer | undefined;
  let metricsHosts: Hosts | undefined;
  let closing: Promise<void> | undefined;
  let closed = false;
  /** The server stops: no administrator takes that back. */
  let stopped = false;

  const loopbackOnly = config.auth.tokens.length === 0 && oidc === undefined;
  const hosts = new Hosts({
    names: namesOf(config),
    loopbackOnly,
    port: () => listener.port,
    defaultPort: listen.tls ? 443 : 80,
  });
  const origins = new Origins({ origins: listen.origins, noProxy: options.noProxy, hosts });
  const metricsAccess = new MetricsAccess(config.metrics);
  const readMetrics = joined(metrics);
  const context: ConnectionContext = { agents, hub, presence, auth, strangers, logIns, budget, reads, limits, log };
  const { maxUnsentBytes } = limits;
  const routes = allRoutes({
    health: { presence, readiness, metrics: readMetrics, withMetrics: metricsAccess.onUsersListener },
    me: { config },
    turns: { agents, hub, presence, reads, heartbeats, maxUnsentBytes, log },
    files: options.docker && { docker: options.docker, limits, sandbox: config.sandbox },
    mcpExchanges,
    mcp,
    pins,
    adminUsers: {
      agents,
      desk: options.desk,
      presence,
      credentials: options.credentials,
      eraser: options.eraser,
      erasures: options.erasures,
      exports: options.exports && { exports: options.exports, presence, log },
      support: () => config.auth.support,
    },
    adminSessions: { desk: options.desk, support: () => config.auth.support, system },
    status: { engine: options.status, presence, hub },
    oauth: {
      forget: forgetLogin,
      identity: ownIdentity,
      sees: (server, who) => seesServer(config.mcpServers, server, who),
    },
    browsers: options.browsers,
    console: { auth, strangers, logIns, files: options.console },
    credentials: options.credentials,
    drain: options.drain,
    reload: options.reload,
    sandboxDesk: options.docker && new SandboxDesk(options.docker),
  });
  const router = new Router({
    routes,
    auth,
    metricsAccess,
    origins,
    refusals,
    budget,
    reads,
    strangers,
    logIns,
    refusedActs: new RefusedActs(),
    maxBodyBytes: limits.maxFrameBytes,
    ...(notServing && { notServing }),
  });

  return {
    async listen() {
      void jwts?.warm(); // so that the first JWT need not wait
      certificate = watchCertificate();
      if (listen.socketIo) {
        socketIo = await SocketIoDoor.open({ ...context, auth, strangers, logIns, notServing, origins, limits, admit });
      }
      await listener.listen();
      await listenForMetrics();
      return { host: listen.host, port: listener.port, url: ownUrl() };
    },
    identity: () => (listener.listening ? ownIdentity() : undefined),
    site: () => ({ base: publicBase(config.mcp.publicUrl, ownUrl()), port: listener.port }),
    hub,
    routes,
    mcpExchanges,
    stopAccepting: () => {
      stopped = true;
      presence.draining = true;
    },
    refuseNew: (refused) => void (presence.draining = refused || stopped),
    closeResting: (isBusy) => hub.goneWhere((session) => !isBusy(session), CLOSE.draining, DRAINS),
    applyConfig,
    endCredentials: (ends, code, reason) => presence.closeWhere(ends, code, reason),
    closeAll: (code, reason) => (closing ??= closeAll(code, reason)),
    renewCertificate: async () => certificate?.look(),
    async close() {
      if (closed) return;
      closed = true;
      stopped = true;
      presence.draining = true;
      certificate?.close();
      socketIo?.close();
      listener.close();
      refusals.close();
      refusedLogIns.close();
      await metricsServer?.close();
    },
    metricsUrl: () => metricsServer?.url,
    counts: () => ({ connections: presence.size, sessions: hub.sessions }),
  };

  /** Between no tokens and some a restart is needed, so that `loopbackOnly` and the data folder's token stay what they are. */
  function applyConfig(): number {
    const names = namesOf(config);
    hosts.setNames(names);
    if (config.metrics.listen) metricsHosts?.setNames([...names, config.metrics.listen.host]);
    origins.setOrigins(config.listen.origins);
    void certificate?.look();
    if (loopbackOnly || config.auth.tokens.length === 0) return 0;
    auth.setTokens(config.auth.tokens);
    return presence.closeWhere((person) => auth.hasEnded(person), CLOSE.unauthorized, 'the token was revoked');
  }

  /** Gives an app its routes. A new certificate has an app of its own, which shares everything else. */
  function attach(app: TemplatedApp): void {
    // The socket's own address here: a proxy's sockets are the proxy's to limit.
    app.filter((res, change) => {
      if (Number(change) < 1) return;
      const peer = new Uint8Array(res.getRemoteAddress());
      if (addresses.isProxy(peer)) return;
      const address = addresses.keyOf(peer, '');
      // uWebSockets replaces this handler with the first request's, so it runs only if none came.
      if (strangers.connected(address)) res.onAborted(() => strangers.settled(address));
      else res.close();
    });
    app.ws<UserData>('/v1/ws', {
      maxPayloadLength: limits.maxFrameBytes,
      maxBackpressure: limits.maxUnsentBytes,
      closeOnBackpressureLimit: 1,
      idleTimeout: Math.ceil(limits.idleTimeoutMs / 1000),
      sendPingsAutomatically: true,
      upgrade: (res, req, socketContext) => {
        const head = admit(res, req, '/v1/ws');
        if (!head) return;
        const protocols = req.getHeader('sec-websocket-protocol');
        const key = req.getHeader('sec-websocket-key');
        const extensions = req.getHeader('sec-websocket-extensions');
        const { requestId } = head;
        const opening = judgeUpgrade({ auth, strangers, logIns, notServing }, { ...head, protocols });
        // Also while it is judged: uWebSockets may close a socket whose upgrade comes later.
        const data = { connection: new Connection(context, opening, requestId) };
        res.writeStatus('101 Switching Protocols').writeHeader('X-Request-Id', requestId);
        res.upgrade(data, key, answeredProtocol(protocols), extensions, socketContext);
      },
      open: (ws) => ws.getUserData().connection.opened(ws),
      message: (ws: WebSocket<UserData>, message, isBinary) => ws.getUserData().connection.received(message, isBinary),
      drain: (ws) => ws.getUserData().connection.drained(),
      close: (ws) => ws.getUserData().connection.closed(),
    });
    socketIo?.mount(app);
    app.any('/*', (res, req) => {
      const head = readHead(res, req, { addresses, strangers });
      if (!cutMalformed(res, head)) void router.serve(new Exchange(res, head, log));
    });
  }

  function watchCertificate(): CertificateWatch | undefined {
    const { tls: files } = listen;
    if (!files) return undefined;
    return new CertificateWatch({ files, names: () => ownNames(config), renew: () => listener.renew(), log });
  }

  async function system(): Promise<object> {
    const { quotas } = config;
    const { ready, reasons } = readiness();
    const sandboxes = (await options.sandboxes?.()) ?? [];
    const [connections, attached] = [presence.size, hub.sessions];
    return { ready, reasons, connections, attached, sandboxes, limits, quotas, pool: config.sandbox.pool };
  }

  /** The head of a request that no foreign page has sent. Undefined: it is refused, or cut. */
  function admit(res: HttpResponse, req: HttpRequest, route: string): RequestHead | undefined {
    const head = readHead(res, req, { addresses, strangers });
    if (cutMalformed(res, head)) return undefined;
    const refused = origins.refusal(head);
    if (!refused) return head;
    refusals.note(refused, head);
    const exchange = new Exchange(res, head, log);
    exchange.route = route;
    exchange.fail(refused);
    return undefined;
  }

  /** Cuts the connection without an answer, since after one uWebSockets would go on to what follows, perhaps a smuggled request. */
  function cutMalformed(res: HttpResponse, { malformed }: RequestHead): boolean {
    if (malformed === undefined) return false;
    res.onAborted(() => undefined); // in place of the filter's: this socket has settled
    log.debug({ why: malformed }, 'a connection was cut: its request can be read in two ways');
    res.close();
    return true;
  }

  async function listenForMetrics(): Promise<void> {
    const at = config.metrics.listen;
    if (!at) return;
    metricsHosts = new Hosts({ names: [...namesOf(config), at.host], loopbackOnly: false, port: () => at.port });
    metricsServer = await startMetricsServer({
      at,
      access: metricsAccess,
      hosts: metricsHosts,
      read: readMetrics,
      log,
    });
    log.info({ url: metricsServer.url }, 'metrics are served on their own listener');
  }

  function ownUrl(): string {
    const { host, tls } = listen;
    return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${listener.port}`;
  }

  function ownIdentity(): OAuthIdentity {
    return oauthIdentity(config.mcp.publicUrl, ownUrl());
  }

  async function closeAll(code: number, reason: string): Promise<void> {
    stopped = true;
    presence.draining = true;
    if (presence.size === 0) return;
    presence.closeAll(code, reason);
    await delay(CLOSE_GRACE_MS);
  }
}

/** One call at a time: who asks meanwhile gets the same answer. */
function joined<T>(read: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => (running ??= read().finally(() => (running = undefined)));
}
