/**
 * What does a tool call to a `url` server through our backend cost against the same call with the SDK's client alone?
 * Usage: node dist/bench/remote-tool-call.js [--calls 1000]
 * One of each in turn, in one run, to one server in a process of its own; the backend is asked for the connection each time.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { parseArgs } from 'node:util';
import { machine, percentile } from './machine.js';
import { backendFor, echo, startServer, type Era } from './remote-bench.js';
import { p50p99, table, times } from './report.js';

const { values } = parseArgs({ options: { calls: { type: 'string', default: '1000' } } });
const WARM_UP = 200;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

async function measure(era: Era): Promise<string[][]> {
  const server = await startServer(era);
  const backend = backendFor(server.url);
  const client = new Client({ name: 'bare', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(server.url)));
    const caller = { session: 's', user: 'u' };
    const params = { name: 'echo', arguments: { text: 'a' } };
    const bare: number[] = [];
    const through: number[] = [];
    for (let call = -WARM_UP; call < Number(values.calls); call++) {
      const one = await timed(() => client.callTool(params));
      const other = await timed(async () => (await backend.get(caller, 'one')).callTool(echo('a')));
      if (call < 0) continue;
      bare.push(one);
      through.push(other);
    }
    const ratio = percentile(through, 50) / percentile(bare, 50);
    return [
      [`${era}: the SDK’s client alone`, ...p50p99(bare), ''],
      [`${era}: through the backend`, ...p50p99(through), times(ratio)],
    ];
  } finally {
    await client.close();
    await backend.disconnect();
    server.stop();
  }
}

const rows = [...(await measure('modern')), ...(await measure('legacy'))];
console.log(machine());
console.log(`${values.calls} calls of each in turn over Streamable HTTP; ms\n`);
console.log(table(['tools/call', 'p50', 'p99', 'of bare'], rows));
