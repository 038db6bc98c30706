/** Starts, relays and ends `command` servers, which run in a leased sandbox beside the image's own server. Docker thread. */
import { randomBytes } from 'node:crypto';
import { atMost, onAbort } from '../../../src/shared/abort.js';
import { isCommandServer } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import type { RunningSandbox, SandboxExit, SandboxProgram } from '../driver/driver.js';
import type { Lease } from './lease.js';
import type { ExecRequest } from '../contract/messages.js';
import { StdioRelay } from './stdio-relay.js';

const MAX_PER_SANDBOX = 8;
const FULL_RETRY_MS = 5_000;
/** A server that does not exit at its end of input is killed after this. */
const END_OF_INPUT_MS = 1_000;
const KILL_TIMEOUT_MS = 10_000;
/** This environment variable marks our processes; what they start inherits it. */
const EXEC_MARK = 'FAIRLEAD_EXEC';

const started = counter('fairlead_sandbox_exec_servers_total', 'Command servers started in leased sandboxes', [
  'outcome',
]);

interface Group {
  readonly relays: Set<StdioRelay>;
  /** The lease's generation at the last start. When it has changed, servers of the earlier client are killed first. */
  generation: number;
}

export class ExecServers {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #onUse: (lease: Lease) => void;
  /** Removed with their lease. */
  readonly #groups = new Map<Lease, Group>();

  /** `onUse`: a server in this sandbox starts or is given something to do. */
  constructor(config: Config, log: Logger, onUse: (lease: Lease) => void) {
    this.#config = config;
    this.#log = log;
    this.#onUse = onUse;
  }

  /** ERR_SANDBOX: it cannot be started. ERR_UNAVAILABLE: not now, or too many run. ERR_CANCELLED: the port has closed. */
  async start(lease: Lease | undefined, { sandbox, server, port }: ExecRequest): Promise<void> {
    // First, since a port reports its closing only to a listener.
    const relay = new StdioRelay(port, { onInput: () => lease && this.#onUse(lease) });
    try {
      const running = lease?.sandbox.running;
      if (!lease || !running) throw new FairleadError('ERR_SANDBOX', `there is no sandbox ${sandbox}`);
      this.#onUse(lease);
      await this.#start(lease, running, server, relay);
      started.inc({ outcome: 'ok' });
    } catch (error) {
      started.inc({ outcome: 'failed' });
      relay.end(null, 'the server did not start');
      throw error;
    }
  }

  /** The lease has ended. */
  end(lease: Lease, reason: string): void {
    const group = this.#groups.get(lease);
    this.#groups.delete(lease);
    for (const relay of group?.relays ?? []) relay.end(null, reason);
  }

  async #start(lease: Lease, running: RunningSandbox, server: string, relay: StdioRelay): Promise<void> {
    const { command, args, env } = this.#commandOf(server);
    const group = this.#groupOf(lease);
    if (group.relays.size >= MAX_PER_SANDBOX) {
      const full = `${MAX_PER_SANDBOX} servers run in this sandbox already`;
      throw new FairleadError('ERR_UNAVAILABLE', full, { retryAfterMs: FULL_RETRY_MS });
    }
    group.relays.add(relay);
    onAbort(relay.closed, () => group.relays.delete(relay));
    if (group.generation !== lease.generation) {
      group.generation = lease.generation;
      await this.#kill(running, ''); // the agent thread before this one died and may have left servers
    }
    const abort = new AbortController();
    const mark = randomBytes(8).toString('hex');
    const program = await running.exec([command, ...args], abort.signal, { ...env, [EXEC_MARK]: mark });
    const ended = program.exited.then((code) => exitOf(command, code));
    onAbort(relay.closed, () => void this.#stop(running, program, abort, mark));
    relay.closed.throwIfAborted();
    relay.attach({ stdin: program.stdin, stdout: program.stdout, stderr: program.stderr, exited: ended });
    this.#log.info({ session: lease.session, server, sandbox: lease.id }, 'server started in a sandbox');
  }

  #groupOf(lease: Lease): Group {
    const group = this.#groups.get(lease) ?? { relays: new Set<StdioRelay>(), generation: 0 };
    this.#groups.set(lease, group);
    return group;
  }

  /** Docker has no call that ends an exec'd program: its input is closed, and it is killed from inside if it stays. */
  async #stop(running: RunningSandbox, program: SandboxProgram, abort: AbortController, mark: string): Promise<void> {
    program.stdout.resume(); // nobody reads it, and a full pipe would keep the program from exiting
    program.stderr.resume();
    program.stdin.end();
    if (!(await atMost(END_OF_INPUT_MS, program.exited))) await this.#kill(running, mark);
    abort.abort(new FairleadError('ERR_CANCELLED', 'no longer needed'));
  }

  /** Kills processes with this mark; '' = with any. In an image without a shell they live as long as the sandbox. */
  async #kill(running: RunningSandbox, mark: string): Promise<void> {
    const script = `for p in /proc/[0-9]*; do if grep -qs '${EXEC_MARK}=${mark}' "$p/environ"; then kill -9 "\${p#/proc/}"; fi; done`;
    try {
      const killer = await running.exec(['sh', '-c', script], AbortSignal.timeout(KILL_TIMEOUT_MS));
      killer.stdout.resume();
      killer.stderr.resume();
      killer.stdin.end();
      await killer.exited;
    } catch (error) {
      this.#log.debug({ err: error, sandbox: running.id }, 'a server in a sandbox could not be killed');
    }
  }

  #commandOf(name: string): { command: string; args: string[]; env: Record<string, string> } {
    const server = this.#config.mcpServers[name];
    if (!server || !isCommandServer(server)) {
      throw new FairleadError('ERR_SANDBOX', `mcpServers has no command server ${name}`);
    }
    return server;
  }
}

function exitOf(command: string, code: number | null): SandboxExit {
  if (code === 126 || code === 127)
    return { code, reason: `${command} is not in the sandbox’s image, or does not run` };
  return { code, reason: code === null ? 'ended with its sandbox' : `exited with code ${code}` };
}
