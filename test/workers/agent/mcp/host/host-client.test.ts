/** Whose question a server's is that does not say so, with the SDK's own server of the older protocol in this process. */
import { InMemoryTransport } from '@modelcontextprotocol/client';
import { Server } from '@modelcontextprotocol/server';
import pino from 'pino';
import t, { type Test } from 'tap';
import { HostClient } from '../../../../../workers/agent/mcp/host/host-client.js';
import type { ServerAsks, ToolCall } from '../../../../../workers/agent/mcp/host/server-connection.js';
import { deferred } from '../../../../helpers/processes.js';
import { callOf } from '../command/command-bench.js';

const FORM = { mode: 'form', message: 'Go on?', requestedSchema: { type: 'object', properties: {} } } as const;

/** A server whose tool asks, and that answers no list before `listed` resolves. */
async function connect(t: Test, listed: Promise<void>): Promise<HostClient> {
  const server = new Server({ name: 'asking', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/list', async () => {
    await listed;
    return { tools: [] };
  });
  server.setRequestHandler('tools/call', async () => {
    const { action } = await server.elicitInput(FORM);
    return { content: [{ type: 'text', text: action }] };
  });
  const client = new HostClient({
    server: 'asking',
    capabilities: { elicitation: { form: {} } },
    log: pino({ level: 'silent' }),
  });
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  await server.connect(theirs);
  await client.connect(ours);
  t.teardown(() => client.close());
  return client;
}

function saying(action: 'accept' | 'decline'): ServerAsks {
  return { elicit: async () => ({ action }) };
}

const ask = (asks: ServerAsks): ToolCall => callOf('ask', {}, { asks });
const textOf = (text: string): object => ({ content: [{ text }] });

t.test('a list in the background is nobody’s: the call beside it asks its own user', async (t) => {
  const listed = deferred<void>();
  const client = await connect(t, listed.promise);
  const list = client.request({ ...callOf(''), method: 'tools/list', params: {}, background: true });
  t.match(await client.callTool(ask(saying('accept'))), textOf('accept'));
  listed.resolve();
  await list;
});

t.test('two sessions on one server: neither’s question reaches the other, and the server is told why', async (t) => {
  const listed = deferred<void>();
  const client = await connect(t, listed.promise);
  const other = client.request({ ...callOf(''), method: 'tools/list', params: {}, asks: saying('decline') });
  t.match(await client.callTool(ask(saying('accept'))).catch((error: Error) => error.message), /several sessions/);
  listed.resolve();
  await other;
  t.match(await client.callTool(ask(saying('accept'))), textOf('accept'), 'alone again');
});

t.test('a call that is cancelled while its server is asked for a sign of life waits no longer', async (t) => {
  const server = new Server({ name: 'silent', version: '1' }, { capabilities: { tools: {} } });
  const asked = deferred<void>();
  const never = new Promise<never>(() => undefined);
  server.setRequestHandler('tools/call', () => never);
  server.setRequestHandler('ping', () => (asked.resolve(), never));
  const client = new HostClient({
    server: 'silent',
    capabilities: {},
    log: pino({ level: 'silent' }),
    life: { silenceMs: 600_000, heardAt: () => 0, onDead: () => never },
  });
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  await server.connect(theirs);
  await client.connect(ours);
  t.teardown(() => client.close());
  const stop = new AbortController();
  const call = client.callTool(callOf('sleep', {}, { timeoutMs: 1, signal: stop.signal }));
  await asked.promise;
  stop.abort('interrupted');
  await t.rejects(call, { code: 'ERR_CANCELLED' });
});
