import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { HANDSHAKE, serveOnPort } from '../../../helpers/port-mcp-server.js';
import { MAX_RESULT_META } from '../../../../src/shared/mcp-meta.js';
import { png } from '../../../helpers/images.js';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says, type Use } from '../scripted-model.js';

const ALLOW = { approvals: { default: 'allow' } };
const echo = (id: string): Use => ({ id, name: 'echo', input: { text: id } });
const json = (value: unknown): string => JSON.stringify(value);

void t.test('one sandbox serves all calls of a session, and starts with the first tool that needs it', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(says('no tool'), callsTools([echo('c-1'), echo('c-2')]), callsTools([echo('c-3')]), says('ok'));
  await bench.say('hi');
  await bench.turnEnd(1);
  t.equal(bench.sandboxes.length, 0);
  await bench.say('go');
  await bench.turnEnd(2);
  t.equal(bench.sandboxes.length, 1);
  t.same(bench.box.calls, ['echo c-1', 'echo c-2', 'echo c-3']);
});

void t.test('a sandbox that cannot be started is told to the model, and the next call tries again', async (t) => {
  const bench = await startBench(t, ALLOW);
  let leases = 0;
  bench.onLease = (request) => {
    if (++leases > 1) return bench.lease(request);
    request.port.close();
    return Promise.reject(new FairleadError('ERR_SANDBOX', 'no such image'));
  };
  bench.model.next(callsTools([echo('c-1')]), callsTools([echo('c-2')]), says('ok'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.match(await bench.event('tool:result', ({ callId }) => callId === 'c-1'), { ok: false });
  t.match(json(bench.model.requests[1]?.messages.at(-1)), 'ERR_SANDBOX: no such image');
  t.match(await bench.event('tool:result', ({ callId }) => callId === 'c-2'), { ok: true });
});

void t.test(
  'a sandbox that dies in the middle of a call is told to the model, and the next call gets a new one',
  async (t) => {
    const bench = await startBench(t, ALLOW);
    bench.model.next(
      callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]),
      callsTools([echo('c-2')]),
      says('ok'),
    );
    await bench.say('go');
    await bench.box.started('k');
    bench.sandboxes[0]!.exit(137, 'out of memory');
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    const told = json(bench.model.requests[1]?.messages.at(-1));
    t.match(told, 'ERR_SANDBOX');
    t.match(told, 'out of memory');
    t.match(await bench.event('tool:result', ({ callId }) => callId === 'c-2'), { ok: true });
    t.equal(bench.sandboxes.length, 2);
  },
);

void t.test('a tool that fails, and one that takes too long, are told to the model as errors', async (t) => {
  const bench = await startBench(t, { ...ALLOW, sandbox: { toolTimeoutMs: 200 } });
  bench.model.next(
    callsTools([
      { id: 'c-1', name: 'fail' },
      { id: 'c-2', name: 'wait', input: { key: 'k' } },
    ]),
    says('ok'),
  );
  await bench.say('go');
  await bench.turnEnd(1);
  t.match(await bench.event('tool:result', ({ callId }) => callId === 'c-1'), {
    ok: false,
    content: [{ type: 'text', text: 'it failed' }],
  });
  t.match(await bench.event('tool:result', ({ callId }) => callId === 'c-2'), { ok: false });
  t.match(json(bench.model.requests[1]?.messages.at(-1)), 'ERR_MCP');
});

void t.test('output of a running tool is passed on with its stream and offset', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([{ id: 'c-1', name: 'wait', input: { key: 'k' } }]), says('ok'));
  await bench.say('go');
  t.match(await bench.event('tool:output'), { callId: 'c-1', stream: 'stdout', offset: 0, text: 'waiting k' });
  bench.box.finish('k');
  await bench.turnEnd(1);
});

void t.test('a long result is cut for the client and the model alike', async (t) => {
  const bench = await startBench(t, { ...ALLOW, limits: { maxToolResultBytes: 100 } });
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: 'x'.repeat(10_000) } }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  const { content } = await bench.event('tool:result');
  t.match(content, [{ type: 'text', truncated: true }]);
  t.ok(json(content).length < 400);
  t.ok(json(bench.model.requests[1]?.messages.at(-1)).length < 500);
});

void t.test('an ordinary screenshot reaches the model and the client, however little text is allowed', async (t) => {
  const bench = await startBench(t, { ...ALLOW, limits: { maxToolResultBytes: 100 } });
  const data = png(1920, 1080, 1_000_000);
  bench.box.shown = [
    { type: 'text', text: 'Took a screenshot' },
    { type: 'image', data, mimeType: 'image/png' },
  ];
  bench.model.next(callsTools([{ id: 'c-1', name: 'show', input: {} }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  t.equal(bench.box.metaOfShow[MAX_RESULT_META], 100, 'its server is told what it may give');
  t.match((await bench.event('tool:result')).content, [{ type: 'text' }, { type: 'image', data }]);
  const shown = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } };
  t.match(bench.model.requests[1]?.messages.at(-1)?.content, [
    { type: 'tool_result', content: [{ type: 'text' }, shown] },
  ]);
});

void t.test('an image that no reader of events could take is for the model alone', async (t) => {
  const bench = await startBench(t, { ...ALLOW, limits: { maxUnsentBytes: 65_536 } });
  const data = png(1920, 1080, 100_000);
  bench.box.shown = [{ type: 'image', data, mimeType: 'image/png' }];
  bench.model.next(callsTools([{ id: 'c-1', name: 'show', input: {} }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  t.match((await bench.event('tool:result')).content, [{ type: 'text', text: /see the history/, truncated: true }]);
  t.match(json(bench.model.requests[1]?.messages.at(-1)), data);
});

void t.test('results that are too long together are cut in what is sent, and stay in the history', async (t) => {
  const bench = await startBench(t, { ...ALLOW, model: { historyTokens: 100_000 } });
  bench.box.shown = [{ type: 'text', text: 'x'.repeat(100_000) }];
  const uses = Array.from({ length: 6 }, (_, index) => ({ id: `c-${index}`, name: 'show', input: {} }));
  bench.model.next(callsTools(uses), says('ok'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  const sent = json(bench.model.requests[1]?.messages);
  t.ok(sent.length < 300_000);
  t.match(sent, /100000 bytes.*not shown here any more/);
  t.ok((await bench.store.readSession(OF.session))?.context?.trimmed, 'the next request makes the same cut');
  const { json: history } = await bench.request('read-history-page', { ...OF, limit: 100 });
  t.ok(history.length > 600_000);
});

void t.test('a session keeps its sandbox when it leaves memory', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([echo('c-1')]), says('ok'), callsTools([echo('c-2')]), says('ok'));
  await bench.say('one');
  await bench.turnEnd(1);
  await bench.request('get-session', OF);
  await bench.say('two');
  await bench.turnEnd(2);
  t.equal(bench.sandboxes.length, 1);
});

void t.test('arguments that are no JSON are told to the model, though the tool would take none', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([{ id: 'c-1', name: 'fail' }], { invalidInput: ['c-1'] }), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  t.same(bench.sandboxes.length, 0);
  bench.model.next(callsTools([{ id: 'c-2', name: 'fail' }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(2);
  t.same(bench.box.calls, ['fail'], 'the same call with arguments runs');
});

void t.test('a second piece of output starts where the first ended', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([{ id: 'c-1', name: 'print', input: { pieces: ['first', 'second'] } }]), says('ok'));
  await bench.say('go');
  t.match(await bench.event('tool:output', ({ text }) => text === 'first'), { offset: 0 });
  bench.box.finish('first');
  t.match(await bench.event('tool:output', ({ text }) => text === 'second'), { offset: 5 });
  bench.box.finish('second');
  await bench.turnEnd(1);
});

void t.test(
  'an output schema that holds its checker does not hold the thread: other sessions are answered',
  async (t) => {
    const bench = await startBench(t, ALLOW);
    const evil = `${'a'.repeat(40)}!`;
    bench.onLease = async ({ port }) => {
      const server = new McpServer({ name: 'evil', version: '1' });
      server.registerTool('echo', { outputSchema: z.object({ a: z.string() }) }, async () => ({
        content: [{ type: 'text', text: 'answered' }],
        structuredContent: { a: evil },
      }));
      bench.sandboxes.push(await serveOnPort(port, server));
      return { sandbox: 'box-1', handshake: HANDSHAKE, generation: 0, waitedMs: 1 };
    };
    const outputSchema = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
    const tool = { name: 'echo', description: '', inputSchema: { type: 'object' }, outputSchema };
    await bench.request('set-catalogue', { catalogue: { workspace: [tool] } });
    bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: {} }]), says('ok'));
    await bench.say('go');
    await bench.event('tool:start');
    const other = { user: 'user-2', session: 'session-2' };
    await bench.request('create-session', other);
    let answered = 0;
    // As long as the check runs, the thread answers another session.
    while (!bench.types().includes('tool:result')) {
      t.equal((await bench.request('get-session', other)).session, other.session);
      answered++;
    }
    t.ok(answered > 20, `${answered} answers`);
    const told = json(await bench.event('tool:result'));
    t.match(told, 'answered', 'the result itself is there');
    t.match(told, 'its schema takes too long to be checked');
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  },
);

void t.test('arguments whose schema takes too long to be checked are not run, and the model is told why', async (t) => {
  const bench = await startBench(t, ALLOW);
  const inputSchema = { type: 'object', properties: { text: { type: 'string', pattern: '^(a+)+$' } } };
  await bench.request('set-catalogue', {
    catalogue: { workspace: [{ name: 'echo', description: '', inputSchema }] },
  });
  bench.model.next(callsTools([{ id: 'c-1', name: 'echo', input: { text: `${'a'.repeat(40)}!` } }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  t.match(json(bench.model.requests[1]?.messages.at(-1)), 'its schema takes too long to be checked');
  t.same(bench.box.calls, []);
});
