/** What does a remote MCP server cost? A tool call through Fairlead against the SDK's client alone, and many sessions on one server. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { percentile } from '../shared/figures.js';
import { timed } from '../shared/work.js';
import type { Bench, BenchContext, Findings, Ratio } from '../suite/bench.js';
import { measureSessions, type SessionCosts } from './many-sessions.js';
import { echo, PROTOCOLS, remotesFor, startServer, type Protocol } from './server.js';

const WARM_UP = 200;
const CALL_AIM = 1.3;
const SESSION_AIM_KIB = 20;

const SHORT = { calls: 300, sessions: 400, sessionCalls: 1_000, atOnce: 100 };
const FULL = { calls: 1_000, sessions: 1_000, sessionCalls: 5_000, atOnce: 100 };

/** ms of each call. */
interface CallTimes {
  sdk: number[];
  fairlead: number[];
}

export const bench: Bench = {
  name: 'remote',
  question:
    'What do a tool call to a remote MCP server and a session on it cost, compared with the SDK’s client alone?',
  run: async (context) => {
    const sizes = context.full ? FULL : SHORT;
    const calls = new Map<Protocol, CallTimes>();
    const sessions = new Map<Protocol, SessionCosts>();
    for (const protocol of PROTOCOLS) {
      context.progress(`${protocol}: calls`);
      calls.set(protocol, await measureCalls(protocol, sizes.calls, context));
      context.progress(`${protocol}: sessions`);
      sessions.set(protocol, await measureSessions(protocol, sizes, context.signal));
    }
    return findingsOf(sizes, calls, sessions);
  },
};

/** One call of each kind in turn; Fairlead is asked for the connection each time. */
async function measureCalls(protocol: Protocol, calls: number, { signal }: BenchContext): Promise<CallTimes> {
  const server = await startServer(protocol);
  const remotes = remotesFor(server.url);
  const client = new Client({ name: 'bare', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(server.url)));
    const times: CallTimes = { sdk: [], fairlead: [] };
    for (let call = -WARM_UP; call < calls; call++) {
      signal.throwIfAborted();
      const sdk = await timed(() => client.callTool({ name: 'echo', arguments: { text: 'a' } }));
      const fairlead = await timed(async () =>
        (await remotes.get({ session: 's', user: 'u' }, 'one')).callTool(echo('a')),
      );
      if (call < 0) continue;
      times.sdk.push(sdk);
      times.fairlead.push(fairlead);
    }
    return times;
  } finally {
    await client.close();
    await remotes.disconnect();
    server.stop();
  }
}

function findingsOf(
  sizes: typeof SHORT,
  calls: ReadonlyMap<Protocol, CallTimes>,
  sessions: ReadonlyMap<Protocol, SessionCosts>,
): Findings {
  const callRatios = [...calls].map(([protocol, { sdk, fairlead }]): Ratio => ({
    id: `call-${protocol}`,
    name: `Tool call, ${protocol} protocol, p50, relative to the SDK’s client alone`,
    value: percentile(fairlead, 50) / percentile(sdk, 50),
    unit: '×',
    better: 'lower',
    aim: CALL_AIM,
  }));
  const sessionRatios = [...sessions].map(([protocol, { kibPerSession }]): Ratio => ({
    id: `session-kib-${protocol}`,
    name: `Heap of a session on the server, ${protocol} protocol`,
    value: kibPerSession,
    unit: 'KiB',
    better: 'lower',
    aim: SESSION_AIM_KIB,
  }));
  return {
    settings: { ...sizes, maxConnections: 50 },
    ratios: [...callRatios, ...sessionRatios],
    tables: [
      {
        title: 'tools/call over Streamable HTTP',
        head: ['', 'p50 ms', 'p99 ms'],
        rows: [...calls].flatMap(([protocol, { sdk, fairlead }]) => [
          [`${protocol}: the SDK’s client alone`, percentile(sdk, 50), percentile(sdk, 99)],
          [`${protocol}: through Fairlead`, percentile(fairlead, 50), percentile(fairlead, 99)],
        ]),
      },
      {
        title: `${sizes.sessions} sessions of one agent thread on one server`,
        head: [
          'protocol',
          'connections at once',
          'in all',
          'sessions opened/s',
          'calls/s',
          'KiB a session',
          'sessions on the server',
          'after the end',
        ],
        rows: [...sessions].map(([protocol, costs]) => [
          protocol,
          costs.connections.most,
          costs.connections.sockets,
          costs.openedPerSecond,
          costs.callsPerSecond,
          costs.kibPerSession,
          costs.connections.sessions,
          costs.left,
        ]),
      },
    ],
    plots: [],
    doubts: [...sessions].flatMap(([protocol, { left }]) =>
      left > 0 ? [`${protocol}: ${left} sessions stay on the server when Fairlead has disconnected`] : [],
    ),
  };
}
