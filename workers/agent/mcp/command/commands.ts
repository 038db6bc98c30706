/** `command` servers: processes on the host, or in the sandbox of an `image` server. Agent threads. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { pathToFileURL } from 'node:url';
import { backoffMs } from '../../../../src/shared/backoff.js';
import { isCommandServer, type CommandServerConfig } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import { gauge } from '../../../../src/shared/metrics.js';
import { sharedSession } from '../host/shared-sessions.js';
import type { SandboxHost } from '../sandbox/connection.js';
import type { SessionSandboxes } from '../sandbox/session-sandboxes.js';
import type { Caller, ServerBackend } from '../host/server-connection.js';
import { CommandConnection, type StartedCommand } from './command-connection.js';
import { LegacyServers } from './legacy-servers.js';
import { HostProcess } from './host-process.js';
import { commandFolder, sweepCommands, type ThreadPlace } from './leftovers.js';
import { ProcessTransport } from './process-transport.js';
import { startInSandbox } from './sandbox-command.js';
import { StderrLog } from './stderr-log.js';
import type { SessionToolsListener } from '../host/server-connection.js';

/** Processes on the host that one thread may have at a time: each is tens of megabytes. */
const MAX_PROCESSES = 200;
const FULL_RETRY_MS = 5_000;
const BACKOFF = { firstMs: 500, maxMs: 30_000 };
/** A shared server that has lived so long starts again at once when it ends. */
const HEALTHY_MS = 60_000;
/** How late an idle one may be closed, as a part of the time after which it is. */
const LOOKS = 4;
const MIN_LOOK_MS = 50;
const MAX_LOOK_MS = 30_000;

interface CommandEntry {
  opening: Promise<CommandConnection>;
  /** Once it is open. */
  connection?: CommandConnection;
}

/** A shared server that ends again and again rests for longer and longer. */
interface Rest {
  failures: number;
  until: number;
}

export interface CommandsOptions {
  config: Config;
  place: Omit<ThreadPlace, 'dataDir'>;
  sandboxes: SessionSandboxes;
  host: Pick<SandboxHost, 'exec'>;
  sessionTools: SessionToolsListener;
  log: Logger;
}

export class Commands implements ServerBackend {
  readonly #options: CommandsOptions;
  readonly #place: ThreadPlace;
  /** Whoever has it (a session, or the thread itself for all) → server → its connection. An entry goes when its process does. */
  readonly #byOwner = new Map<string, Map<string, CommandEntry>>();
  readonly #rests = new Map<string, Rest>();
  readonly #legacyServers = new LegacyServers();
  readonly #listeners = new Map<string, () => void>();
  readonly #swept: Promise<void>;
  #closed = false;
  #processes = 0;
  /** One for all, while there are any. */
  #timer: NodeJS.Timeout | undefined;

  constructor(options: CommandsOptions) {
    const { config, place, log } = options;
    this.#options = options;
    this.#place = { ...place, dataDir: config.dataDir };
    this.#swept = sweepCommands(this.#place, log);
    gauge('fairlead_agent_commands', 'MCP servers that run as processes on the host, of this thread', [], (g) => {
      g.set(this.#processes);
    });
  }

  async get(caller: Caller, server: string): Promise<CommandConnection> {
    const { scope } = this.#configOf(server);
    return this.#get(scope === 'shared' ? sharedSession(this.#place.index) : caller.session, server);
  }

  /** Called when a shared server says that its tools are others now; one callback for each server. */
  watch(server: string, onChanged: () => void): void {
    this.#listeners.set(server, onChanged);
  }

  async releaseSession(session: string): Promise<void> {
    const servers = this.#byOwner.get(session);
    if (!servers) return;
    this.#byOwner.delete(session);
    for (const server of servers.keys()) this.#options.sessionTools.gone(session, server);
    this.#watch();
    await Promise.allSettled([...servers.values()].map(closeEntry));
  }

  async disconnect(): Promise<void> {
    this.#closed = true;
    const all = [...this.#all()];
    this.#byOwner.clear();
    this.#listeners.clear();
    this.#watch();
    await this.#swept;
    await Promise.allSettled(all.map(({ entry }) => closeEntry(entry)));
  }

  async #get(owner: string, server: string): Promise<CommandConnection> {
    return this.#byOwner.get(owner)?.get(server)?.opening ?? this.#open(owner, server);
  }

  #open(owner: string, server: string): Promise<CommandConnection> {
    const { config, log } = this.#options;
    if (this.#closed) throw new FairleadError('ERR_DRAINING', 'the server is stopping');
    this.#refuseWhileItRests(owner, server);
    const openedAt = performance.now();
    const opening = CommandConnection.open({
      server,
      start: () => this.#start(owner, server),
      capabilities: this.#capabilitiesOf(server),
      legacyServers: this.#legacyServers,
      timeoutMs: config.mcp.requestTimeoutMs,
      log,
      onEnd: (reason) => {
        log.warn({ session: owner, server, reason }, 'mcp server ended');
        this.#forget(owner, server, entry);
        this.#noteEnd(owner, server, performance.now() - openedAt);
      },
      onToolsChanged: () => {
        if (owner === sharedSession(this.#place.index)) this.#listeners.get(server)?.();
        else void this.#noteChanged(owner, server, entry);
      },
    });
    const entry: CommandEntry = { opening };
    const servers = this.#byOwner.get(owner) ?? new Map<string, CommandEntry>();
    servers.set(server, entry);
    this.#byOwner.set(owner, servers);
    this.#watch();
    opening.then(
      (connection) => (entry.connection = connection),
      () => {
        this.#forget(owner, server, entry); // the caller gets the error
        this.#noteEnd(owner, server, 0);
      },
    );
    return opening;
  }

  #start(owner: string, server: string): Promise<StartedCommand> {
    const command = this.#configOf(server);
    if (command.sandbox === undefined) return this.#startOnHost(server, command);
    return startInSandbox({ ...this.#options, owner, server, sandbox: command.sandbox });
  }

  async #startOnHost(server: string, { command, args, env, cwd }: CommandServerConfig): Promise<StartedCommand> {
    await this.#swept;
    if (this.#processes >= MAX_PROCESSES) {
      const told = `${this.#processes} MCP servers run on this host already`;
      throw new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: FULL_RETRY_MS });
    }
    this.#processes++;
    try {
      const process = await HostProcess.start({ server, command, args, env, cwd }, commandFolder(this.#place));
      void process.exited.then(() => this.#processes--);
      const stderr = new StderrLog(server, this.#options.log);
      return {
        transport: new ProcessTransport(process, (chunk) => stderr.write(chunk)),
        roots: [{ uri: pathToFileURL(process.cwd).href, name: 'workspace' }],
      };
    } catch (error) {
      this.#processes--;
      throw error;
    }
  }

  #refuseWhileItRests(owner: string, server: string): void {
    const restMs = (this.#rests.get(server)?.until ?? 0) - performance.now();
    if (owner !== sharedSession(this.#place.index) || restMs <= 0) return;
    throw new FairleadError('ERR_UNAVAILABLE', `the server ${server} has ended, and is started again soon`, {
      retryAfterMs: Math.ceil(restMs),
    });
  }

  #noteEnd(owner: string, server: string, livedMs: number): void {
    if (owner !== sharedSession(this.#place.index)) return;
    if (livedMs >= HEALTHY_MS) {
      this.#rests.delete(server);
      return;
    }
    const failures = (this.#rests.get(server)?.failures ?? 0) + 1;
    // Its first end is not yet a habit: who calls next finds it again.
    const restMs = failures === 1 ? 0 : backoffMs(failures, BACKOFF);
    this.#rests.set(server, { failures, until: performance.now() + restMs });
  }

  #forget(owner: string, server: string, entry: CommandEntry): void {
    const servers = this.#byOwner.get(owner);
    if (servers?.get(server) !== entry) return;
    servers.delete(server);
    this.#options.sessionTools.gone(owner, server);
    if (servers.size === 0) this.#byOwner.delete(owner);
    this.#watch();
  }

  async #noteChanged(owner: string, server: string, entry: CommandEntry): Promise<void> {
    const connection = await entry.opening.catch(() => undefined); // that failure is told to its caller
    if (connection && this.#byOwner.get(owner)?.get(server) === entry) {
      this.#options.sessionTools.changed(owner, server, connection);
    }
  }

  *#all(): Iterable<{ owner: string; server: string; entry: CommandEntry }> {
    for (const [owner, servers] of this.#byOwner) {
      for (const [server, entry] of servers) yield { owner, server, entry };
    }
  }

  #watch(): void {
    if (this.#byOwner.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const { idleMs } = this.#options.config.mcp;
    const every = Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, idleMs / LOOKS));
    this.#timer ??= setInterval(() => this.#closeIdle(idleMs), every);
  }

  #closeIdle(afterMs: number): void {
    for (const { owner, server, entry } of this.#all()) {
      const { connection } = entry;
      if (owner === sharedSession(this.#place.index) || !connection || connection.idleMs < afterMs) continue;
      this.#forget(owner, server, entry);
      void connection.close();
    }
  }

  #capabilitiesOf(server: string): ClientCapabilities {
    return capabilitiesFor(this.#options.config.mcpServers, server);
  }

  #configOf(name: string): CommandServerConfig {
    const server = this.#options.config.mcpServers[name];
    if (!server || !isCommandServer(server)) throw new FairleadError('ERR_MCP', `${name} is no command of mcpServers`);
    return server;
  }
}

async function closeEntry({ opening }: CommandEntry): Promise<void> {
  const connection = await opening.catch(() => undefined); // that failure has been told to its caller
  await connection?.close();
}
