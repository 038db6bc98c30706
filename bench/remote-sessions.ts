/**
 * What do many sessions of one agent thread cost on one `url` server: connections, calls a second, memory a session?
 * Usage: node dist/bench/remote-sessions.js [--sessions 1000] [--calls 5000] [--at-once 100]
 * The server is a process of its own; the memory is the heap of ours after a collection, as a difference.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { machine } from './machine.js';
import { backendFor, echo, startServer, type Era } from './remote-bench.js';
import { inParallel, table } from './report.js';

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '1000' },
    calls: { type: 'string', default: '5000' },
    'at-once': { type: 'string', default: '100' },
  },
});
const sessions = Number(values.sessions);
const calls = Number(values.calls);
const atOnce = Number(values['at-once']);
const WARM_UP = 50;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function measure(era: Era): Promise<string[]> {
  const server = await startServer(era);
  const backend = backendFor(server.url);
  const call = async (session: number): Promise<void> => {
    const connection = await backend.get({ session: `s-${session}`, user: `u-${session}` }, 'one');
    await connection.callTool(echo('a'));
  };
  try {
    // What is compiled and opened once is not what a session costs.
    await inParallel(WARM_UP, atOnce, (index) => call(-index - 1));
    const before = heapBytes();
    const opening = performance.now();
    await inParallel(sessions, atOnce, call);
    const openedIn = (performance.now() - opening) / 1000;
    const after = heapBytes();
    const startedAt = performance.now();
    await inParallel(calls, atOnce, (index) => call(index % sessions));
    const seconds = (performance.now() - startedAt) / 1000;
    const counts = await server.counts();
    const ending = performance.now();
    await backend.disconnect();
    const endedIn = (performance.now() - ending) / 1000;
    const left = (await server.counts()).sessions;
    return [
      era,
      String(counts.most),
      String(counts.sockets),
      `${Math.round(sessions / openedIn)}`,
      `${Math.round(calls / seconds)}`,
      ((after - before) / sessions / 1024).toFixed(2),
      `${counts.sessions} → ${left} in ${endedIn.toFixed(1)} s`,
    ];
  } finally {
    server.stop();
  }
}

const rows = [await measure('modern'), await measure('legacy')];
console.log(machine());
console.log(`${sessions} sessions of one thread, ${calls} calls, ${atOnce} at once, mcp.maxConnections 50\n`);
const head = [
  'era',
  'connections at once',
  'in all',
  'sessions opened a second',
  'calls a second',
  'KiB a session',
  'ended',
];
console.log(table(head, rows));
