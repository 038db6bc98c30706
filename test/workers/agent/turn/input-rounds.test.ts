import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { MODERN_HANDSHAKE, serveModernOnPort, type PortServer } from '../../../helpers/port-mcp-server.js';
import { deferred, type Deferred } from '../../../helpers/processes.js';
import type { StdioToSandbox } from '../../../../workers/docker/contract/messages.js';
import { OF, startBench, type AgentBench, type EventOf } from '../agent-bench.js';
import { callsTools, says } from '../scripted-model.js';

const CALL = { id: 'c-1', name: 'ask', input: { times: 1 } };
const FORM = { type: 'object' as const, properties: { colour: { type: 'string' as const } }, required: ['colour'] };

type Asked = EventOf<'elicitation:request'>;

interface Rounds {
  bench: AgentBench;
  /** What each request of the tool came with. */
  requests: { requestState: string | undefined; inputResponses: unknown }[];
  servers: PortServer[];
  /** The last request is answered only then. */
  gate: Deferred<void>;
  lastBegun: Deferred<void>;
}

/** A server of the newer era whose tool asks `times` questions, one after another, and then answers with what was said last. */
async function start(t: Test, { gated = false, config = {} } = {}): Promise<Rounds> {
  const bench = await startBench(t, { approvals: { default: 'allow' }, ...config });
  const [gate, lastBegun] = [deferred<void>(), deferred<void>()];
  const made: Rounds = { bench, requests: [], servers: [], gate, lastBegun };
  if (!gated) gate.resolve();
  const factory = (): McpServer => {
    const server = new McpServer({ name: 'asks', version: '1' }, { capabilities: { tools: {} } });
    server.registerTool(
      'ask',
      { inputSchema: z.strictObject({ times: z.number() }) },
      async ({ times }, { mcpReq }) => {
        const state = mcpReq.requestState();
        const requestState = typeof state === 'string' ? state : undefined;
        made.requests.push({ requestState, inputResponses: mcpReq.inputResponses });
        const asked = Number(requestState ?? 0);
        if (asked < times) {
          const message = `Which colour? (${asked + 1})`;
          return inputRequired({
            inputRequests: { colour: inputRequired.elicit({ message, requestedSchema: FORM }) },
            requestState: String(asked + 1),
          });
        }
        lastBegun.resolve();
        await gate.promise;
        return { content: [{ type: 'text', text: JSON.stringify(mcpReq.inputResponses) }] };
      },
    );
    return server;
  };
  bench.onLease = async ({ port }) => {
    made.servers.push(serveModernOnPort(port, factory));
    return { sandbox: `box-${made.servers.length}`, handshake: MODERN_HANDSHAKE, generation: 0, waitedMs: 1 };
  };
  t.teardown(() => gate.resolve());
  t.teardown(() => Promise.all(made.servers.map((server) => server.close())));
  return made;
}

function reply(bench: AgentBench, { requestId }: Asked, colour: string): Promise<null> {
  return bench.request('answer-elicitation', { ...OF, requestId, action: 'accept', content: { colour } });
}

function accepted(colour: string): object {
  return { colour: { action: 'accept', content: { colour } } };
}

function resultText(result: EventOf<'tool:result'>): string {
  const [block] = result.content;
  return block?.type === 'text' ? block.text : '';
}

void t.test('a server’s questions come one after another, and each request carries what was answered', async (t) => {
  const { bench, requests } = await start(t);
  bench.model.next(callsTools([{ ...CALL, input: { times: 2 } }]), says('done'));
  await bench.say('go');
  const first = await bench.event('elicitation:request', ({ message }) => message.includes('(1)'));
  t.notOk('of' in first, 'what is ours alone is not told');
  await reply(bench, first, 'red');
  await reply(bench, await bench.event('elicitation:request', ({ message }) => message.includes('(2)')), 'blue');
  t.match(resultText(await bench.event('tool:result')), /accept.*blue/);
  await bench.turnEnd(1);
  t.match(requests, [
    { requestState: undefined, inputResponses: undefined },
    { requestState: '1', inputResponses: accepted('red') },
    { requestState: '2', inputResponses: accepted('blue') },
  ]);
});

void t.test('a question outlives its thread: it stays open, and its answer lets the call go on', async (t) => {
  const { bench, requests, servers } = await start(t);
  bench.model.next(callsTools([CALL]), says('blue it is'));
  await bench.say('go');
  const asked = await bench.event('elicitation:request');
  await bench.crash();
  await bench.start();
  t.match((await bench.attach())[0], { pending: [{ kind: 'elicitation', requestId: asked.requestId }] });
  t.notOk(bench.types().includes('tool:result'));
  t.notOk(bench.types().includes('elicitation:resolved'));
  await reply(bench, asked, 'blue');
  const result = await bench.event('tool:result');
  t.match(result, { ok: true });
  t.match(resultText(result), /accept.*blue/);
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.equal(requests.length, 2, 'the first request was not made again');
  t.equal(servers.length, 2);
});

void t.test('an answer that comes while its thread dies is there when it is back', async (t) => {
  const { bench, requests } = await start(t);
  bench.model.next(callsTools([{ ...CALL, input: { times: 2 } }]), says('done'));
  await bench.say('go');
  const first = await bench.event('elicitation:request', ({ message }) => message.includes('(1)'));
  await reply(bench, first, 'red');
  const second = await bench.event('elicitation:request', ({ message }) => message.includes('(2)'));
  await bench.crash();
  await bench.start();
  await t.rejects(reply(bench, first, 'green'), { code: 'ERR_CALL_NOT_PENDING' });
  await reply(bench, second, 'blue');
  t.match(resultText(await bench.event('tool:result')), /blue/);
  await bench.turnEnd(1);
  t.equal(requests.length, 3);
});

void t.test('a server that dies while it waits for the person is started again for the answer', async (t) => {
  const { bench, servers } = await start(t);
  bench.model.next(callsTools([CALL]), says('done'));
  await bench.say('go');
  const asked = await bench.event('elicitation:request');
  servers[0]?.exit(137, 'killed');
  await servers[0]?.closed;
  await reply(bench, asked, 'blue');
  t.match(await bench.event('tool:result'), { ok: true });
  await bench.turnEnd(1);
  t.equal(servers.length, 2);
});

void t.test(
  'a thread that dies in the request after the answer has interrupted the call: it is not made again',
  async (t) => {
    const { bench, requests, lastBegun } = await start(t, { gated: true });
    bench.model.next(callsTools([CALL]), says('then not'));
    await bench.say('go');
    await reply(bench, await bench.event('elicitation:request'), 'blue');
    await lastBegun.promise;
    await bench.crash();
    await bench.start();
    const result = await bench.event('tool:result');
    t.match(result, { ok: false });
    t.match(resultText(result), /may have run/);
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    t.equal(requests.length, 2);
  },
);

void t.test('a stop of the server leaves the question open for the next start', async (t) => {
  const { bench } = await start(t);
  bench.model.next(callsTools([CALL]), says('done'));
  await bench.say('go');
  const asked = await bench.event('elicitation:request');
  await bench.request('drain', { graceMs: 0 });
  await bench.stop();
  t.notOk(
    bench.types().some((type) => type === 'tool:result' || type === 'turn:end' || type === 'elicitation:resolved'),
  );
  await bench.start();
  t.match((await bench.request('get-session', OF)).pending, [{ requestId: asked.requestId }]);
  await reply(bench, asked, 'blue');
  t.match(await bench.event('tool:result'), { ok: true });
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
});

void t.test('a turn that is cancelled closes the question of a call that waits since before a restart', async (t) => {
  const { bench, requests } = await start(t);
  bench.model.next(callsTools([CALL]));
  await bench.say('go');
  const asked = await bench.event('elicitation:request');
  await bench.crash();
  await bench.start();
  await bench.request('cancel-turn', OF);
  t.match(await bench.event('elicitation:resolved'), { requestId: asked.requestId, action: 'cancel', by: 'stop' });
  t.match(await bench.event('tool:result'), { ok: false });
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  await t.rejects(reply(bench, asked, 'blue'), { code: 'ERR_CALL_NOT_PENDING' });
  t.equal(requests.length, 1);
});

void t.test('a server that asks for ever is stopped', async (t) => {
  const { bench, requests } = await start(t);
  bench.model.next(callsTools([{ ...CALL, input: { times: 100 } }]), says('done'));
  await bench.say('go');
  for (let round = 1; round <= 10; round++) {
    await reply(
      bench,
      await bench.event('elicitation:request', ({ message }) => message.includes(`(${round})`)),
      'red',
    );
  }
  t.match(resultText(await bench.event('tool:result')), /still asks for input after 10 rounds/);
  await bench.turnEnd(1);
  t.equal(requests.length, 11);
});

void t.test('code in a sandbox that is not configured to ask fails its call, and nobody is asked', async (t) => {
  const mcpServers = { workspace: { image: 'fairlead/workspace' } };
  const bench = await startBench(t, { approvals: { default: 'allow' }, mcpServers });
  const params = { mode: 'form', message: 'Your password, please', requestedSchema: FORM };
  const result = { resultType: 'input_required', inputRequests: { colour: { method: 'elicitation/create', params } } };
  // Not the SDK's server, which would hold itself to what it was told.
  bench.onLease = async ({ port }) => {
    port.on('message', (message: StdioToSandbox) => {
      if (message.type !== 'stdin') return;
      const { id, method } = JSON.parse(Buffer.from(message.data).toString()) as { id?: string; method?: string };
      if (method !== 'tools/call') return;
      port.postMessage({ type: 'stdout', data: Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`) });
    });
    t.teardown(() => port.close());
    return { sandbox: 'box-1', handshake: MODERN_HANDSHAKE, generation: 0, waitedMs: 1 };
  };
  bench.model.next(callsTools([CALL]), says('then not'));
  await bench.say('go');
  t.match(resultText(await bench.event('tool:result')), /not supported: elicitation is not configured/);
  await bench.turnEnd(1);
  t.notOk(bench.types().includes('elicitation:request'));
});
