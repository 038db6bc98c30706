/** `command` servers that run in leased sandboxes beside the image's own: started, relayed, and ended one by one. Docker thread. */
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
/** What its end of input does not end is killed. */
const END_OF_INPUT_MS = 1_000;
const KILL_TIMEOUT_MS = 10_000;
/** By what is in its environment a process is known as one of ours, and so is what it has started. */
const EXEC_MARK = 'FAIRLEAD_EXEC';

const started = counter('fairlead_sandbox_exec_servers_total', 'Servers started in the sandbox of another', [
  'outcome',
]);

interface Room {
  readonly relays: Set<StdioRelay>;
  /** How many clients the sandbox had had when it was last looked at: what an earlier one has left running is ended first. */
  generation: number;
}

export class ExecServers {
  readonly #config: Config;
  readonly #log: Logger;
  /** An entry goes with its lease. */
  readonly #rooms = new Map<Lease, Room>();

  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /** ERR_SANDBOX: it cannot be started there. ERR_UNAVAILABLE: not now, or too many run. ERR_CANCELLED: the port has closed. */
  async start(lease: Lease | undefined, { sandbox, server, port }: ExecRequest): Promise<void> {
    const relay = new StdioRelay(port); // first: a port tells only those who listen that its other side is gone
    try {
      const running = lease?.sandbox.running;
      if (!lease || !running) throw new FairleadError('ERR_SANDBOX', `there is no sandbox ${sandbox}`);
      await this.#start(lease, running, server, relay);
      started.inc({ outcome: 'ok' });
    } catch (error) {
      started.inc({ outcome: 'failed' });
      relay.end(null, 'the server did not start');
      throw error;
    }
  }

  /** The sandbox is nobody's any more. */
  end(lease: Lease, reason: string): void {
    const room = this.#rooms.get(lease);
    this.#rooms.delete(lease);
    for (const relay of room?.relays ?? []) relay.end(null, reason);
  }

  async #start(lease: Lease, running: RunningSandbox, server: string, relay: StdioRelay): Promise<void> {
    const { command, args, env } = this.#commandOf(server);
    const room = this.#roomOf(lease);
    if (room.relays.size >= MAX_PER_SANDBOX) {
      const told = `${MAX_PER_SANDBOX} servers run in this sandbox already`;
      throw new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: FULL_RETRY_MS });
    }
    room.relays.add(relay);
    onAbort(relay.closed, () => room.relays.delete(relay));
    if (room.generation !== lease.generation) {
      room.generation = lease.generation;
      await this.#kill(running, ''); // whoever had the sandbox before has died, and may have left some
    }
    const abort = new AbortController();
    const mark = randomBytes(8).toString('hex');
    const program = await running.exec([command, ...args], abort.signal, { env: { ...env, [EXEC_MARK]: mark } });
    const ended = program.exited.then((code) => exitOf(command, code));
    onAbort(relay.closed, () => void this.#stop(running, program, abort, mark));
    relay.closed.throwIfAborted();
    relay.attach({ stdin: program.stdin, stdout: program.stdout, stderr: program.stderr, exited: ended });
    this.#log.info({ session: lease.session, server, sandbox: lease.id }, 'server started in a sandbox');
  }

  #roomOf(lease: Lease): Room {
    const room = this.#rooms.get(lease) ?? { relays: new Set<StdioRelay>(), generation: 0 };
    this.#rooms.set(lease, room);
    return room;
  }

  /** Docker has no call that ends a program which was started in a container: its input ends, and what stays is killed from inside. */
  async #stop(running: RunningSandbox, program: SandboxProgram, abort: AbortController, mark: string): Promise<void> {
    program.stdout.resume(); // nobody reads it any more, and it may be full
    program.stderr.resume();
    program.stdin.end();
    if (!(await atMost(END_OF_INPUT_MS, program.exited))) await this.#kill(running, mark);
    abort.abort(new FairleadError('ERR_CANCELLED', 'not needed any more'));
  }

  /** All that carry this mark, or any. An image without a shell keeps what does not end by itself until the sandbox goes. */
  async #kill(running: RunningSandbox, mark: string): Promise<void> {
    const script = `for p in /proc/[0-9]*; do if grep -qs '${EXEC_MARK}=${mark}' "$p/environ"; then kill -9 "\${p#/proc/}"; fi; done`;
    try {
      const killer = await running.exec(['sh', '-c', script], AbortSignal.timeout(KILL_TIMEOUT_MS));
      killer.stdout.resume();
      killer.stderr.resume();
      killer.stdin.end();
      await killer.exited;
    } catch (error) {
      this.#log.debug({ err: error, sandbox: running.id }, 'a server in a sandbox could not be ended');
    }
  }

  #commandOf(name: string): { command: string; args: string[]; env: Record<string, string> } {
    const server = this.#config.mcpServers[name];
    if (!server || !isCommandServer(server)) {
      throw new FairleadError('ERR_SANDBOX', `${name} is no command of mcpServers`);
    }
    return server;
  }
}

function exitOf(command: string, code: number | null): SandboxExit {
  if (code === 126 || code === 127)
    return { code, reason: `${command} is not in the sandbox’s image, or does not run` };
  return { code, reason: code === null ? 'ended with its sandbox' : `exited with code ${code}` };
}
