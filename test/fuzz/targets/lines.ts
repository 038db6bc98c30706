/** What a sandbox prints, in this process: the real transport and client at one end of a port, mutated lines at the other. */
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { isFairleadError } from '../../../src/shared/errors.js';
import { HostClient } from '../../../workers/agent/mcp/host/host-client.js';
import { PortTransport } from '../../../workers/agent/mcp/sandbox/port-transport.js';
import type { StdioToSandbox } from '../../../workers/docker/contract/messages.js';
import { randomFrom } from '../../chaos/random.js';
import { createLog } from '../../../src/shared/log.js';
import { HANDSHAKE } from '../../helpers/port-mcp-server.js';
import { within } from '../../helpers/processes.js';
import { Corpus } from '../corpus.js';
import { Coverage } from '../coverage.js';
import type { Target } from '../target.js';
import { samples } from '../values.js';

const LINES_A_CALL = 40;
const CALLS = 5;
const SETTLED_MS = 30_000;
const log = createLog('fuzz', 'silent');
/** Stands in a line for the id of the call that runs. */
const THE_ID = '"THE-ID"';

export function linesTarget(seed: number): Target {
  const draw = randomFrom(seed);
  const own = [
    `{"jsonrpc":"2.0","id":${THE_ID},"result":{"content":[]}}`,
    `{"jsonrpc":"2.0","id":${THE_ID},"error":{}}`,
  ];
  const corpus = new Corpus([...samples('message', 200, seed), ...own], draw);
  return {
    name: 'MCP lines (client)',
    async batch() {
      const coverage = new Coverage([
        '/mcp/host/',
        '/mcp/sandbox/',
        '/mcp-inbox.js',
        '/mcp-lines.js',
        '/bounded-lines.js',
      ]);
      const violations: string[] = [];
      for (let call = 0; call < CALLS; call++) {
        const lines = Array.from({ length: LINES_A_CALL }, () => corpus.next().replaceAll('\n', ' '));
        const wrong = await judge(lines);
        if (wrong) violations.push(`${wrong}: ${JSON.stringify(lines).slice(0, 2_000)}`);
        if (coverage.takeNew() > 0) corpus.keep(lines);
      }
      coverage.stop();
      return { cases: CALLS * LINES_A_CALL, violations };
    },
  };
}

/** One call, during which the sandbox prints these lines, and then its answer. */
async function judge(lines: readonly string[]): Promise<string | undefined> {
  const { port1, port2 } = new MessageChannel();
  const transport = new PortTransport(port1, () => undefined);
  const client = new HostClient({ server: 'fuzz', capabilities: {}, log, describeFailure: () => undefined });
  port2.on('message', (message: StdioToSandbox) => {
    if (message.type !== 'stdin') return;
    const request = JSON.parse(Buffer.from(message.data).toString()) as { id?: unknown; method: string };
    if (request.method !== 'tools/call') return;
    const id = JSON.stringify(request.id);
    const done = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"done"}]}}`;
    for (const line of [...lines.map((line) => line.replaceAll(THE_ID, id)), done]) {
      port2.postMessage({ type: 'stdout', data: Buffer.from(`${line}\n`) });
    }
  });
  try {
    transport.useHandshake(HANDSHAKE, 0);
    await client.connect(transport, { prior: { kind: 'legacy' } });
    const call = client.callTool({
      name: 'raw',
      args: {},
      signal: new AbortController().signal,
      timeoutMs: SETTLED_MS,
      asks: { elicit: async () => ({ action: 'cancel' }) },
      onOutput: () => undefined,
    });
    await within(call, SETTLED_MS, () => 'the call did not end');
    return undefined;
  } catch (error) {
    // The connection may end by what was printed; the call then fails with one of our codes.
    return isFairleadError(error) && error.code !== 'ERR_INTERNAL' ? undefined : String(error);
  } finally {
    await client.client.close();
    await transport.close();
    port2.close();
    await turn();
  }
}
