/** What many sessions of one agent thread cost on one remote server: connections, calls a second, heap. The server is another process. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { inParallel, timed } from '../shared/work.js';
import { echo, remotesFor, startServer, type Counts, type Protocol } from './server.js';

const WARM_UP = 50;

export interface SessionCosts {
  connections: Counts;
  openedPerSecond: number;
  callsPerSecond: number;
  /** The growth of this process's heap after a collection. */
  kibPerSession: number;
  /** Sessions that the server still holds when Fairlead has disconnected. */
  left: number;
}

export async function measureSessions(
  protocol: Protocol,
  { sessions, sessionCalls, atOnce }: { sessions: number; sessionCalls: number; atOnce: number },
  signal: AbortSignal,
): Promise<SessionCosts> {
  const server = await startServer(protocol);
  const remotes = remotesFor(server.url);
  const call = async (session: number): Promise<void> => {
    signal.throwIfAborted();
    const connection = await remotes.get({ session: `s-${session}`, user: `u-${session}` }, 'one');
    await connection.callTool(echo('a'));
  };
  try {
    // The first session also pays for code and connections that all share, so it does not count.
    await inParallel(WARM_UP, atOnce, (index) => call(-index - 1));
    const before = heapBytes();
    const openMs = await timed(() => inParallel(sessions, atOnce, call));
    const after = heapBytes();
    const callMs = await timed(() => inParallel(sessionCalls, atOnce, (index) => call(index % sessions)));
    const connections = await server.counts();
    await remotes.disconnect();
    return {
      connections,
      openedPerSecond: (sessions * 1_000) / openMs,
      callsPerSecond: (sessionCalls * 1_000) / callMs,
      kibPerSession: (after - before) / sessions / 1_024,
      left: (await server.counts()).sessions,
    };
  } finally {
    await remotes.disconnect();
    server.stop();
  }
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
