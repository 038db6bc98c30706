import { McpServer } from '@modelcontextprotocol/server';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { HANDSHAKE, serveOnPort } from '../../../../helpers/port-mcp-server.js';
import { OF, startBench, type AgentBench } from '../../agent-bench.js';
import { callsTools, says } from '../../scripted-model.js';

const CALL = { id: 'c-1', name: 'ask', input: { times: 1 } };

interface Asking {
  bench: AgentBench;
  /** The server says that the person has been there. */
  complete: (elicitationId: string) => Promise<void>;
}

async function start(t: Test): Promise<Asking> {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  const server = new McpServer({ name: 'urls', version: '1' }, { capabilities: { tools: {} } });
  server.registerTool('ask', { inputSchema: z.strictObject({ times: z.number() }) }, async (_args, { mcpReq }) => {
    const url = 'https://example.com/consent';
    const answer = await mcpReq.elicitInput({ mode: 'url', message: 'Go there', url, elicitationId: 'e-1' });
    return { content: [{ type: 'text', text: JSON.stringify(answer) }] };
  });
  bench.onLease = async ({ port }) => {
    bench.sandboxes.push(await serveOnPort(port, server, { elicitation: { url: {} } }));
    return { sandbox: 'box-1', handshake: HANDSHAKE, generation: 0, waitedMs: 1 };
  };
  bench.model.next(callsTools([CALL]), says('thanks'));
  await bench.say('go');
  return {
    bench,
    complete: (elicitationId) =>
      server.server.notification({ method: 'notifications/elicitation/complete', params: { elicitationId } }),
  };
}

void t.test('the server’s word that an elicitation is complete answers it', async (t) => {
  const { bench, complete } = await start(t);
  const asked = await bench.event('elicitation:request');
  t.match(asked, { mode: 'url', url: 'https://example.com/consent', message: 'Go there' });
  await complete('e-other');
  await complete('e-1');
  t.match(await bench.event('elicitation:resolved'), { requestId: asked.requestId, action: 'accept', by: 'user' });
  t.match((await bench.event('tool:result')).content, [{ text: '{"action":"accept"}' }]);
  await bench.turnEnd(1);
  await complete('e-1');
});

void t.test('the user’s own answer counts too', async (t) => {
  const { bench } = await start(t);
  const { requestId } = await bench.event('elicitation:request');
  await bench.request('answer-elicitation', { ...OF, requestId, action: 'accept' });
  t.match((await bench.event('tool:result')).content, [{ text: '{"action":"accept"}' }]);
  await bench.turnEnd(1);
});
