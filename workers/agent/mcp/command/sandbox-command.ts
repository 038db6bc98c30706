/** A `command` server in the sandbox of an `image` server of the same session. Agent threads. */
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from '../../../../src/shared/log.js';
import { StderrTail } from '../../../../src/shared/stderr-tail.js';
import { WORKSPACE_ROOTS, type SandboxConnection, type SandboxHost } from '../sandbox/connection.js';
import { PortTransport } from '../sandbox/port-transport.js';
import type { SessionSandboxes } from '../sandbox/session-sandboxes.js';
import type { StartedCommand, SandboxUse } from './command-connection.js';
import { StderrLog } from './stderr-log.js';

export interface SandboxCommand {
  sandboxes: SessionSandboxes;
  host: Pick<SandboxHost, 'exec'>;
  /** The session whose sandbox it is. */
  owner: string;
  server: string;
  /** The `image` server's key in `mcpServers`. */
  sandbox: string;
  env: Readonly<Record<string, string>>;
  log: Logger;
}

/** Leases the session's sandbox and restores its workspace if needed. Errors of the lease; ERR_SANDBOX, ERR_UNAVAILABLE. */
export async function startInSandbox(command: SandboxCommand): Promise<StartedCommand> {
  const { sandboxes, host, owner, server, sandbox, env, log } = command;
  const box = await sandboxes.get({ session: owner, user: '' }, sandbox);
  const sandboxUse = useOf(box);
  const { port1, port2 } = new MessageChannel();
  const stderrLog = new StderrLog(server, log, env);
  const stderr = new StderrTail(env);
  const transport = new PortTransport(port1, (text) => {
    stderrLog.write(text);
    stderr.add(text);
  });
  try {
    await host.exec({ sandbox: box.sandbox, server, port: port2 });
  } catch (error) {
    sandboxUse.end();
    port1.close();
    throw error;
  }
  return { transport, roots: WORKSPACE_ROOTS, stderr, origin: 'sandbox', sandboxUse };
}

/** Counts as in use from the first moment, so that the sandbox does not hibernate while the server starts. */
function useOf(box: SandboxConnection): SandboxUse {
  let connection: { readonly idleMs: number } | undefined;
  const end = box.countIn({
    get idleMs() {
      return connection?.idleMs ?? 0;
    },
  });
  return { begin: (begun) => void (connection = begun), end };
}
