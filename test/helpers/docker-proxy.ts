/** A proxy before the real daemon that injects faults (hangs, refusals, cuts, lost answers), and sandboxes that use it. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { Test } from 'tap';
import { parseConfig } from '../../src/shared/config.js';
import { createLog } from '../../src/shared/log.js';
import { Archives } from '../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../workers/docker/driver/docker-driver.js';
import type { LeaseResult } from '../../workers/docker/contract/messages.js';
import type { BreakerState } from '../../workers/docker/contract/messages.js';
import { SandboxManager } from '../../workers/docker/sandbox-manager.js';
import { containersOf, dockerHost, type Container } from './docker.js';
import { within } from './processes.js';
import { SandboxPort } from './sandbox-port.js';

const WAIT_MS = 30_000;

/**
 * hang: the request does not reach the daemon, and nobody answers. cut: the same, and the connection breaks. mute: the
 * daemon executes it, and nobody answers. lose: the daemon executes it, and the connection breaks in place of the answer.
 */
export type Fault = 'hang' | 'cut' | 'mute' | 'lose' | { status: number; message: string };

/** As Docker 20.10 says it when it makes a container's folders. */
export const DISK_FULL: Fault = {
  status: 500,
  message: 'mkdir /var/lib/docker/overlay2/0f3c7b8a-init: no space left on device',
};
/** As runc and containerd say it when they start one. */
export const DISK_FULL_AT_START: Fault = {
  status: 500,
  message:
    'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error writing state: no space left on device: unknown',
};

export interface SeenRequest {
  /** `METHOD URL BODY`; this is what patterns are matched with. */
  line: string;
  /** ms, monotonic. */
  at: number;
}

interface Rule {
  which: RegExp;
  fault: Fault;
  times: number;
}

/** A request that has no answer yet, or a stream. */
interface Live {
  line: string;
  hangs: boolean;
  cut(): void;
  freeze(): void;
}

export class DockerProxy {
  readonly requests: SeenRequest[] = [];
  #rules: Rule[] = [];
  readonly #folder: string;
  readonly #live = new Set<Live>();
  readonly #sockets = new Set<Duplex>();
  readonly #checks = new Set<() => void>();
  readonly #to = upstreamOf(dockerHost());
  readonly #server = createServer();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined); // the client gives up, or we cut it
    });
    this.#server.on('request', (request, response) => void this.#pass(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  static async start(): Promise<DockerProxy> {
    const proxy = new DockerProxy(await mkdtemp(join(tmpdir(), 'fl-proxy-')));
    await proxy.up();
    return proxy;
  }

  /** For DOCKER_HOST. */
  get host(): string {
    return `unix://${this.#socketPath}`;
  }

  get isUp(): boolean {
    return this.#server.listening;
  }

  /** Applies the fault to so many requests from now on. The newest matching rule counts. */
  fault(which: RegExp, fault: Fault, times = Infinity): void {
    this.#rules.unshift({ which, fault, times });
  }

  /** Passes everything again, and cuts what hangs. */
  heal(): void {
    this.#rules = [];
    for (const live of this.#live) if (live.hangs) live.cut();
  }

  count(which: RegExp): number {
    return this.requests.filter(({ line }) => which.test(line)).length;
  }

  /** Resolves when so many requests have arrived. */
  async received(which: RegExp, count: number, waitMs = WAIT_MS): Promise<void> {
    const late = (): string => `${this.count(which)} of ${count} requests like ${which} in ${waitMs} ms`;
    await this.#until(() => this.count(which) >= count, waitMs, late);
  }

  /** Resolves when no stream and no unanswered request that matches is left. */
  async ended(which: RegExp): Promise<void> {
    const late = (): string => `${this.#find([which]).length} like ${which} still open after ${WAIT_MS} ms`;
    await this.#until(() => this.#find([which]).length === 0, WAIT_MS, late);
  }

  async #until(holds: () => boolean, waitMs: number, late: () => string): Promise<void> {
    let look: (() => void) | undefined;
    const done = new Promise<void>((resolve) => {
      look = () => {
        if (holds()) resolve();
      };
      this.#checks.add(look);
      look();
    });
    try {
      await within(done, waitMs, late);
    } finally {
      if (look) this.#checks.delete(look);
    }
  }

  /** Breaks all streams and unanswered requests. */
  cut(...which: RegExp[]): void {
    for (const live of this.#find(which)) live.cut();
  }

  /** Stalls these streams: no more bytes and no end. */
  freeze(...which: RegExp[]): void {
    for (const live of this.#find(which)) live.freeze();
  }

  /** As if the daemon ended: closes all connections and its socket. */
  async down(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async up(): Promise<void> {
    this.#server.listen(this.#socketPath);
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    if (this.isUp) await this.down();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #socketPath(): string {
    return join(this.#folder, 's');
  }

  #find(which: RegExp[]): Live[] {
    return [...this.#live].filter(({ line }) => which.some((pattern) => pattern.test(line)));
  }

  #faultOf(line: string): Fault | undefined {
    this.requests.push({ line, at: performance.now() });
    for (const look of this.#checks) look();
    const rule = this.#rules.find(({ which, times }) => times > 0 && which.test(line));
    if (rule) rule.times--;
    return rule?.fault;
  }

  #track(live: Live, end: Duplex | ServerResponse): void {
    this.#live.add(live);
    end.once('close', () => {
      this.#live.delete(live);
      for (const look of this.#checks) look();
    });
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request).catch(() => undefined);
    if (!body) return; // it has gone in the middle of its request
    const { method, url, headers, socket } = request;
    const line = `${method} ${url} ${body.toString()}`.trim();
    const fault = this.#faultOf(line);
    const hangs = fault === 'hang' || fault === 'mute';
    const live: Live = { line, hangs, cut: () => socket.destroy(), freeze: () => undefined };
    this.#track(live, response); // its connection goes on to serve others
    if (fault === 'hang') return;
    if (fault === 'cut') {
      socket.destroy();
      return;
    }
    if (typeof fault === 'object') {
      response.writeHead(fault.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ message: fault.message }));
      return;
    }
    const upstream = ask({ ...this.#to, agent: false, method, path: url, headers });
    upstream.on('error', () => socket.destroy());
    upstream.on('response', (answer) => {
      if (fault) answer.resume();
      if (fault === 'lose') answer.once('end', () => socket.destroy());
      if (fault) return;
      live.freeze = () => answer.unpipe(response);
      answer.on('error', () => socket.destroy());
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders(); // a stream of news begins long before its first line
      answer.pipe(response);
    });
    if (fault !== 'mute') response.once('close', () => upstream.destroy());
    upstream.end(body);
  }

  /** A stream of both directions: attach and exec. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const line = `${request.method} ${request.url}`;
    const fault = this.#faultOf(line);
    const hangs = fault === 'hang' || fault === 'mute';
    const live: Live = { line, hangs, cut: () => socket.destroy(), freeze: () => undefined };
    this.#track(live, socket);
    if (fault === 'hang') return;
    if (fault === 'cut') {
      socket.destroy();
      return;
    }
    if (typeof fault === 'object') {
      const text = JSON.stringify({ message: fault.message });
      // Kept open until the client ends it, as the daemon does.
      socket.resume().on('end', () => socket.destroy());
      socket.write(
        `HTTP/1.1 ${fault.status} Fault\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
      );
      return;
    }
    const upstream = connect({ ...this.#to, allowHalfOpen: true } as NetConnectOpts);
    live.freeze = () => void upstream.unpipe(socket).pause();
    upstream.on('error', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
    const names = request.rawHeaders;
    const lines = names.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${names[index + 1]}`] : []));
    const start = [`${request.method} ${request.url} HTTP/1.1`, ...lines, '', ''].join('\r\n');
    // At once: the daemon takes a body that comes after its answer for the program's first input.
    upstream.write(Buffer.concat([Buffer.from(start), head]));
    socket.pipe(upstream);
    if (fault === 'lose') upstream.once('data', () => socket.destroy());
    else if (!fault) upstream.pipe(socket);
  }
}

function upstreamOf(host: string): { socketPath: string; path: string } | { host: string; port: number } {
  const socketPath = /^unix:\/\/(.+)$/.exec(host)?.[1];
  if (socketPath !== undefined) return { socketPath, path: socketPath };
  const url = new URL(host.replace(/^tcp:/, 'http:'));
  return { host: url.hostname, port: Number(url.port || 2375) };
}

export interface OpenOptions {
  /** Images by the server's name. */
  images: Record<string, string>;
  /** Warm sandboxes per pool, whatever the demand: beyond them only leased ones exist. */
  warm?: number;
  sandbox?: Record<string, unknown>;
}

export interface OpenedSandboxes {
  readonly proxy: DockerProxy;
  readonly sandboxes: SandboxManager;
  readonly driver: DockerDriver;
  /** All states of the circuit breaker so far. */
  readonly breaker: BreakerState[];
  lease(server: string, session?: string): Promise<LeaseResult & { port: SandboxPort }>;
  /** The containers of this instance, asked without the proxy. */
  readonly containers: () => Promise<Container[]>;
}

/** Closed with its proxy at the end of the test. */
export async function openSandboxes(
  t: Test,
  { images, warm = 0, sandbox = {} }: OpenOptions,
): Promise<OpenedSandboxes> {
  const proxy = await DockerProxy.start();
  const instance = randomUUID();
  const mcpServers = Object.fromEntries(Object.entries(images).map(([name, image]) => [name, { image }]));
  const pool = { min: warm, max: warm, ...(sandbox['pool'] as object | undefined) };
  const settings = { startTimeoutMs: 20_000, ...sandbox, pool };
  const config = parseConfig({ mcpServers, sandbox: settings }, { DOCKER_HOST: proxy.host });
  const log = createLog('test', process.env['TEST_LOG'] ?? 'silent');
  const breaker: BreakerState[] = [];
  const driver = new DockerDriver(config, instance, log, (state) => breaker.push(state));
  const archives = new Archives({ folder: t.testdir(), maxBytes: 1_048_576, timeoutMs: 10_000, log });
  const sandboxes = new SandboxManager({ config, instance, driver, archives, log });
  sandboxes.open();
  t.teardown(async () => {
    proxy.heal();
    if (!proxy.isUp) await proxy.up(); // what a failed test has made is removed through it
    await sandboxes.close();
    await proxy.close();
  });
  return {
    proxy,
    sandboxes,
    driver,
    breaker,
    lease: async (server, session = 's1') => {
      const port = new SandboxPort();
      t.teardown(() => port.close());
      return { ...(await sandboxes.lease({ session, server, port: port.far })), port };
    },
    containers: () => containersOf(`fairlead.instance=${instance}`),
  };
}
