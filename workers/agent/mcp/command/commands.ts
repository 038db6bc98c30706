/** `command` servers: processes on the host, or in the sandbox of an `image` server. Agent threads. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { pathToFileURL } from 'node:url';
import { isCommandServer, type CommandServerConfig } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { errorToData, FairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import { gauge } from '../../../../src/shared/metrics.js';
import type { ServerChanges } from '../../../../src/shared/server-changes.js';
import { StderrTail } from '../../../../src/shared/stderr-tail.js';
import { ConnectionTable, type TableEntry } from '../host/connection-table.js';
import { lastCalls } from '../host/last-calls.js';
import { sharedSession } from '../host/shared-sessions.js';
import type { SandboxHost } from '../sandbox/connection.js';
import type { SessionSandboxes } from '../sandbox/session-sandboxes.js';
import type { Caller, ServerBackend, SessionToolsListener } from '../host/server-connection.js';
import { CommandConnection, type StartedCommand } from './command-connection.js';
import { LegacyServers } from './legacy-servers.js';
import { HostProcess } from './host-process.js';
import { commandFolder, sweepCommands, type ThreadPlace } from './leftovers.js';
import { ProcessTransport } from './process-transport.js';
import { RestartPauses } from './restart-pauses.js';
import { startInSandbox } from './sandbox-command.js';
import { StderrLog } from './stderr-log.js';

/** Limit of a thread's processes on the host; each takes tens of megabytes. */
const MAX_PROCESSES = 200;
const FULL_RETRY_MS = 5_000;
/** Checks within `mcp.idleMs`: an idle server is closed at most a quarter of that time late. */
const LOOKS = 4;
const MIN_LOOK_MS = 50;
const MAX_LOOK_MS = 30_000;

type CommandEntry = TableEntry<CommandConnection>;

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
  /** The owner of shared servers: this thread. */
  readonly #shared: string;
  readonly #table: ConnectionTable<CommandConnection>;
  /** Of servers that a reload has changed or taken away, until their last calls have ended. */
  readonly #retired = new Set<CommandEntry>();
  readonly #pauses = new RestartPauses();
  readonly #legacyServers = new LegacyServers();
  readonly #listeners = new Map<string, () => void>();
  readonly #swept: Promise<void>;
  #closed = false;
  #processes = 0;

  constructor(options: CommandsOptions) {
    const { config, place, log } = options;
    this.#options = options;
    this.#place = { ...place, dataDir: config.dataDir };
    this.#shared = sharedSession(place.index);
    const { idleMs } = config.mcp;
    this.#table = new ConnectionTable({
      sessionTools: options.sessionTools,
      lookEveryMs: Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, idleMs / LOOKS)),
      onLook: (entry, connection) => {
        if (entry.owner === this.#shared || connection.idleMs < idleMs) return;
        this.#table.remove(entry);
        void connection.close();
      },
    });
    this.#swept = sweepCommands(this.#place, log);
    gauge('fairlead_agent_commands', 'MCP servers that run as processes on the host, of this thread', [], (g) => {
      g.set(this.#processes);
    });
  }

  async get(caller: Caller, server: string): Promise<CommandConnection> {
    const { scope } = this.#configOf(server);
    if (scope !== 'shared') return this.#get(caller.session, server, caller.user);
    const connection = await this.#get(this.#shared, server, caller.user);
    this.#pauses.noteUser(server, caller.user);
    return connection;
  }

  /** Sets the callback for when the shared server says that its tools have changed; one for each server. */
  watch(server: string, onChanged: () => void): void {
    this.#listeners.set(server, onChanged);
  }

  /** The next call to a changed server starts it anew; no call reaches one that is removed. */
  applyConfig({ changed, removed }: Pick<ServerChanges, 'changed' | 'removed'>): void {
    for (const server of [...changed, ...removed]) {
      this.#pauses.forget(server);
      this.#legacyServers.forget(server);
      this.#listeners.delete(server);
      for (const entry of this.#table.to(server)) {
        this.#retired.add(entry);
        this.#table.remove(entry);
        void this.#endQuiet(entry);
      }
    }
  }

  async #endQuiet(entry: CommandEntry): Promise<void> {
    const connection = await entry.opening.catch(() => undefined); // that failure has been told to its caller
    if (connection) await lastCalls(connection, () => this.#retired.has(entry));
    if (this.#retired.delete(entry)) await connection?.close();
  }

  async releaseSession(session: string): Promise<void> {
    const retired = [...this.#retired].filter(({ owner }) => owner === session);
    for (const entry of retired) this.#retired.delete(entry);
    await Promise.allSettled([...this.#table.removeOwner(session), ...retired].map(closeEntry));
  }

  async disconnect(): Promise<void> {
    this.#closed = true;
    const all = [...this.#table.clear(), ...this.#retired];
    this.#retired.clear();
    this.#listeners.clear();
    await this.#swept;
    await Promise.allSettled(all.map(closeEntry));
  }

  async #get(owner: string, server: string, user: string): Promise<CommandConnection> {
    return this.#table.get(owner, server)?.opening ?? this.#open(owner, server, user);
  }

  #open(owner: string, server: string, user: string): Promise<CommandConnection> {
    const { config, log } = this.#options;
    if (this.#closed) throw new FairleadError('ERR_DRAINING', 'the server is stopping');
    if (owner === this.#shared) this.#pauses.check(server, user);
    const openedAt = performance.now();
    const opening = CommandConnection.open({
      server,
      start: () => this.#start(owner, server),
      capabilities: this.#capabilitiesOf(server),
      era: this.#configOf(server).era,
      legacyServers: this.#legacyServers,
      timeoutMs: config.mcp.requestTimeoutMs,
      silenceMs: config.mcp.silenceMs,
      log,
      onEnd: (end) => {
        log.warn({ session: owner, server, reason: end.how }, 'mcp server ended');
        this.#table.remove(entry);
        if (owner === this.#shared && !this.#retired.has(entry))
          this.#pauses.noteEnd(server, performance.now() - openedAt, end);
      },
      onToolsChanged: () => {
        if (this.#retired.has(entry)) return;
        if (owner === this.#shared) this.#listeners.get(server)?.();
        else void this.#table.toolsChanged(entry);
      },
    });
    const entry = this.#table.add(owner, server, opening);
    // The caller gets the error.
    opening.catch((error: unknown) => {
      if (owner === this.#shared && !this.#retired.has(entry))
        this.#pauses.noteFailedStart(server, publicMessage(errorToData(error)));
    });
    return opening;
  }

  #start(owner: string, server: string): Promise<StartedCommand> {
    const command = this.#configOf(server);
    if (command.sandbox === undefined) return this.#startOnHost(server, command);
    return startInSandbox({ ...this.#options, owner, server, sandbox: command.sandbox, env: command.env });
  }

  async #startOnHost(server: string, { command, args, env, cwd }: CommandServerConfig): Promise<StartedCommand> {
    await this.#swept;
    if (this.#processes >= MAX_PROCESSES) {
      const told = `${this.#processes} MCP servers already run on this host`;
      throw new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: FULL_RETRY_MS });
    }
    this.#processes++;
    try {
      const stderrLog = new StderrLog(server, this.#options.log, env);
      const stderr = new StderrTail(env);
      const onStderr = (chunk: Buffer): void => {
        stderrLog.write(chunk);
        stderr.add(chunk);
      };
      const program = { server, command, args, env, cwd, onStderr };
      const process = await HostProcess.start(program, commandFolder(this.#place));
      void process.exited.then(() => this.#processes--);
      return {
        transport: new ProcessTransport(process),
        stderr,
        roots: [{ uri: pathToFileURL(process.cwd).href, name: 'workspace' }],
      };
    } catch (error) {
      this.#processes--;
      throw error;
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
