import t from 'tap';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says, type Use } from '../scripted-model.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import { pinsOf } from '../../../../src/shared/tool-pins.js';
import { TOOLS } from '../test-tools.js';

const echo = (id: string, text = id): Use => ({ id, name: 'echo', input: { text } });
const wait = (id: string): Use => ({ id, name: 'wait', input: { key: id } });
const json = (value: unknown): string => JSON.stringify(value);

void t.test('a denial reaches the model with its reason, and the turn goes on', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1')]), says('understood'));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.approve('c-1', { approved: false, reason: 'not on a Friday' });
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.match(await bench.event('tool:denied'), { callId: 'c-1', by: 'user', reason: 'not on a Friday' });
  const result = json(bench.model.requests[1]?.messages.at(-1));
  t.match(result, 'not on a Friday');
  t.match(result, '"is_error":true');
  t.same(bench.box.calls, []);
  t.notOk(bench.types().includes('tool:start'));
});

void t.test('a turn whose calls are all denied goes on to an answer', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1'), echo('c-2')]), says('then not'));
  await bench.say('go');
  t.match(await bench.asked('c-2'), { position: 2, total: 2 });
  await bench.approve('c-2', { approved: false });
  await bench.approve('c-1', { approved: false });
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.match(await bench.event('text'), { text: 'then not' });
});

void t.test('edited arguments are checked, used, and told to the client and the model', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1', 'rm')]), says('ok'));
  await bench.say('go');
  await bench.asked('c-1');
  await t.rejects(bench.approve('c-1', { args: { text: 5 } }), { code: 'ERR_TOOL_ARGS' });
  t.match((await bench.request('get-session', OF)).pending, [{ callId: 'c-1' }], 'it waits still');
  await bench.approve('c-1', { args: { text: 'ls' } });
  await bench.turnEnd(1);
  t.same(bench.box.calls, ['echo ls']);
  t.match(await bench.event('tool:approved'), { by: 'user', args: { text: 'ls' } });
  t.match(await bench.event('tool:start'), { args: { text: 'ls' } });
  t.match(json(bench.model.requests[1]?.messages.at(-1)), 'changed the arguments');
});

void t.test(
  'a yes for the session answers the tool’s other calls and its later ones, and no other tool’s',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(
      callsTools([echo('c-1'), echo('c-2'), { id: 'c-3', name: 'fail' }]),
      callsTools([echo('c-4')]),
      says('ok'),
    );
    await bench.say('go');
    await bench.asked('c-3');
    await bench.approve('c-1', { remember: 'session' });
    t.match(await bench.event('tool:approved', (event) => event.callId === 'c-2'), { by: 'policy' });
    t.match((await bench.request('get-session', OF)).pending, [{ callId: 'c-3' }]);
    await bench.approve('c-3');
    await bench.turnEnd(1);
    t.match(await bench.event('tool:approved', (event) => event.callId === 'c-4'), { by: 'policy' });
    t.match((await bench.store.readSession(OF.session))?.allowed, [/^workspace\/echo#[\w-]{16}$/]);
  },
);

void t.test('a call that nobody answers in time is denied by timeout, and the model is told', async (t) => {
  const bench = await startBench(t, { approvals: { timeoutMs: 50 } });
  bench.model.next(callsTools([echo('c-1')]), says('nobody there'));
  await bench.say('go');
  t.match(await bench.event('tool:denied'), { callId: 'c-1', by: 'timeout' });
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.match(json(bench.model.requests[1]?.messages.at(-1)), '"is_error":true');
});

void t.test('while another call runs, a yes runs its call up to the deadline and nothing from then on', async (t) => {
  const bench = await startBench(t, { approvals: { rules: [{ tool: 'wait', action: 'allow' }] } });
  bench.model.next(callsTools([wait('c-1'), echo('c-2'), echo('c-3')]), says('ok'));
  await bench.say('go');
  const [early, late] = [await bench.asked('c-2'), await bench.asked('c-3')];
  await bench.box.started('c-1');
  const { now } = Date;
  t.teardown(() => void (Date.now = now));

  Date.now = () => early.expiresAt - 1;
  await bench.approve('c-2');
  t.match(await bench.event('tool:result'), { callId: 'c-2', ok: true });

  Date.now = () => late.expiresAt;
  await t.rejects(bench.approve('c-3'), { code: 'ERR_CALL_NOT_PENDING' });
  t.match(await bench.event('tool:denied'), { callId: 'c-3', by: 'timeout' });
  bench.box.finish('c-1');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.same(bench.box.calls, ['wait c-1', 'echo c-2']);
});

void t.test('a second answer, an answer to an unknown call and one to a question change nothing', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1')]), says('ok'));
  await bench.say('go');
  await bench.asked('c-1');
  const [first, second] = await Promise.allSettled([bench.approve('c-1'), bench.approve('c-1', { approved: false })]);
  t.equal(first.status, 'fulfilled');
  t.match(second, { status: 'rejected', reason: { code: 'ERR_CALL_NOT_PENDING' } });
  await t.rejects(bench.approve('c-9'), { code: 'ERR_CALL_NOT_PENDING' });
  await t.rejects(bench.request('answer-elicitation', { ...OF, requestId: 'q-1', action: 'accept' }), {
    code: 'ERR_CALL_NOT_PENDING',
  });
  await bench.turnEnd(1);
  await t.rejects(bench.approve('c-1'), { code: 'ERR_CALL_NOT_PENDING' });
  t.same(bench.box.calls, ['echo c-1']);
});

void t.test(
  'several calls run in parallel and may be answered in any order; results keep the calls’ order',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(callsTools([wait('c-1'), wait('c-2'), echo('c-3')]), says('ok'));
    await bench.say('go');
    await bench.asked('c-3');
    await bench.approve('c-3', { approved: false });
    await bench.approve('c-2');
    await bench.box.started('c-2');
    await bench.approve('c-1');
    await bench.box.started('c-1');
    bench.box.finish('c-1');
    await bench.event('tool:result', (event) => event.callId === 'c-1');
    bench.box.finish('c-2');
    await bench.turnEnd(1);
    const content = bench.model.requests[1]?.messages.at(-1)?.content as { tool_use_id: string }[];
    t.same(
      content.map((block) => block.tool_use_id),
      ['c-1', 'c-2', 'c-3'],
    );
  },
);

void t.test('rules allow and deny without asking', async (t) => {
  const bench = await startBench(t, {
    mcpServers: { workspace: { image: 'fairlead/workspace', trustHints: true } },
    approvals: {
      rules: [
        { readOnly: true, action: 'allow' },
        { tool: 'f*', action: 'deny' },
      ],
    },
  });
  bench.model.next(callsTools([echo('c-1'), { id: 'c-2', name: 'fail' }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  t.match(await bench.event('tool:approved'), { callId: 'c-1', by: 'policy' });
  t.match(await bench.event('tool:denied'), { callId: 'c-2', by: 'policy' });
  t.notOk(bench.types().includes('tool:approval_required'));
  t.same(bench.box.calls, ['echo c-1']);
});

void t.test(
  'tools that the model made up, and arguments that do not fit, are told to the model and not asked for',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(
      callsTools(
        [
          { id: 'c-1', name: 'teleport', input: {} },
          { id: 'c-2', name: 'echo', input: { words: 'a' } },
          { id: 'c-3', name: 'echo', input: {} },
        ],
        { invalidInput: ['c-3'] },
      ),
      says('sorry'),
    );
    await bench.say('go');
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    t.notOk(bench.types().some((type) => type.startsWith('tool:')));
    const results = bench.model.requests[1]?.messages.at(-1)?.content as { tool_use_id: string; is_error?: boolean }[];
    t.match(results, [
      { tool_use_id: 'c-1', is_error: true },
      { tool_use_id: 'c-2', is_error: true },
      { tool_use_id: 'c-3', is_error: true },
    ]);
    t.match(json(results[0]), 'echo', 'it is told which tools there are');
  },
);

void t.test('a yes for the session is one to the tool as it was described then', async (t) => {
  const bench = await startBench(t);
  bench.model.next(
    callsTools([echo('c-1')]),
    says('ok'),
    callsTools([echo('c-2')]),
    says('ok'),
    callsTools([echo('c-3')]),
    says('ok'),
  );
  await bench.say('one');
  const asked = await bench.asked('c-1');
  t.notOk('allowKey' in asked, 'what it is remembered by is nobody else’s business');
  t.notMatch(JSON.stringify(await bench.attach()), 'allowKey');
  await bench.approve('c-1', { remember: 'session' });
  await bench.turnEnd(1);
  await bench.say('two');
  await bench.turnEnd(2);
  t.match(await bench.event('tool:approved', ({ callId }) => callId === 'c-2'), { by: 'policy' });
  const changed = TOOLS.map((tool) => (tool.name === 'echo' ? { ...tool, description: 'Says it to everybody' } : tool));
  await bench.request('set-catalogue', { catalogue: { workspace: changed } });
  await bench.say('three');
  await bench.asked('c-3');
  await bench.approve('c-3');
  await bench.turnEnd(3);
});

/** The catalogue with another `echo`. */
const withEcho = (change: Partial<ToolDefinition>) => ({
  catalogue: { workspace: TOOLS.map((tool) => (tool.name === 'echo' ? { ...tool, ...change } : tool)) },
});

void t.test('an approval shows the tool in its server’s words, and what has changed since the last yes', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1')]), says('ok'), callsTools([echo('c-2')]), says('ok'));
  const annotations = { readOnlyHint: true, openWorldHint: 'x' };
  await bench.request('set-catalogue', withEcho({ title: 'Echo', annotations }));
  await bench.say('one');
  const { tool: first } = await bench.asked('c-1');
  t.match(first, { title: 'Echo', description: 'Says it again', hints: { readOnly: true }, definition: /^[\w-]{16}$/ });
  t.notOk(first && 'changed' in first);
  t.strictSame((await bench.request('get-session', OF)).pending, [
    {
      kind: 'approval',
      turn: 1,
      callId: 'c-1',
      name: 'echo',
      server: 'workspace',
      args: { text: 'c-1' },
      tool: first,
      position: 1,
      total: 1,
      expiresAt: (await bench.asked('c-1')).expiresAt,
    },
  ]);
  await bench.approve('c-1');
  await bench.turnEnd(1);
  await bench.request(
    'set-catalogue',
    withEcho({ description: 'y'.repeat(5_000), annotations: { readOnlyHint: false } }),
  );
  await bench.say('two');
  const { tool: second } = await bench.asked('c-2');
  t.match(second, { hints: { readOnly: false }, changed: ['description', 'hints'] });
  t.equal(second?.description.length, 2_049, 'a long description is cut');
  await bench.crash();
  await bench.start();
  t.match((await bench.request('get-session', OF)).pending, [{ tool: second }]);
});

void t.test('a yes to a tool that changed while it was asked runs nothing, and the call is asked anew', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1')]), says('ok'));
  await bench.say('go');
  const { tool: shown } = await bench.asked('c-1');
  await bench.request('set-catalogue', withEcho({ description: 'Sends it to everybody' }));
  await t.rejects(bench.approve('c-1', { remember: 'session' }), { code: 'ERR_CALL_CHANGED' });
  const again = await bench.event('tool:approval_required', ({ tool }) => tool?.changed !== undefined);
  t.match(again, { callId: 'c-1', tool: { description: 'Sends it to everybody', changed: ['description'] } });
  t.same(bench.box.calls, []);
  t.notOk(bench.types().includes('tool:start'));
  t.same((await bench.store.readSession(OF.session))?.allowed, []);
  // The first yes, which a client repeats after a lost connection.
  await t.rejects(bench.approve('c-1', { definition: shown!.definition }), { code: 'ERR_CALL_CHANGED' });
  await bench.approve('c-1', { definition: again.tool!.definition });
  await bench.turnEnd(1);
  t.same(bench.box.calls, ['echo c-1']);
  t.notMatch(JSON.stringify((await bench.store.readSession(OF.session))?.openTurns), 'everybody');
});

void t.test('a yes to a tool that is gone runs nothing and leaves the call waiting', async (t) => {
  const bench = await startBench(t);
  bench.model.next(callsTools([echo('c-1')]), says('ok'));
  await bench.say('go');
  await bench.asked('c-1');
  await bench.request('set-catalogue', { catalogue: { workspace: [] } });
  await t.rejects(bench.approve('c-1'), { code: 'ERR_UNAVAILABLE' });
  await bench.request('set-catalogue', { catalogue: { workspace: TOOLS } });
  await bench.approve('c-1');
  await bench.turnEnd(1);
  t.same(bench.box.calls, ['echo c-1']);
});

const pinnedEcho = { pins: { workspace: pinsOf(TOOLS) } };
const ALLOWING = { approvals: { default: 'allow' } };

void t.test(
  'a tool that is not as it was pinned is asked for, though a rule allows it, and the user is told why',
  async (t) => {
    const bench = await startBench(t, ALLOWING);
    bench.model.next(
      callsTools([echo('c-1')]),
      says('ok'),
      callsTools([echo('c-2')]),
      says('ok'),
      callsTools([echo('c-3'), { id: 'c-4', name: 'extra' }]),
      says('ok'),
      callsTools([echo('c-5')]),
      says('ok'),
    );
    await bench.request('set-catalogue', { catalogue: { workspace: TOOLS }, ...pinnedEcho });
    await bench.say('as pinned');
    await bench.turnEnd(1);
    t.match(await bench.event('tool:approved', ({ callId }) => callId === 'c-1'), { by: 'policy' });
    const changed = withEcho({ description: 'Says it to everybody' }).catalogue.workspace;
    await bench.request('set-catalogue', { catalogue: { workspace: changed }, ...pinnedEcho });
    await bench.say('changed');
    t.match((await bench.asked('c-2')).tool, { pin: { state: 'changed', parts: ['description'] } });
    await bench.approve('c-2', { remember: 'session' });
    await bench.turnEnd(2);
    const extra = { name: 'extra', description: '', inputSchema: { type: 'object' } };
    await bench.request('set-catalogue', { catalogue: { workspace: [...changed, extra] }, ...pinnedEcho });
    await bench.say('new');
    t.match((await bench.asked('c-4')).tool, { pin: { state: 'new', parts: [] } });
    t.match(
      await bench.event('tool:approved', ({ callId }) => callId === 'c-3'),
      { by: 'policy' },
      'a yes for the session is about the tool as it was shown',
    );
    await bench.approve('c-4', { approved: false });
    await bench.turnEnd(3);
    await bench.request('set-catalogue', { catalogue: { workspace: changed }, pins: { workspace: pinsOf(changed) } });
    await bench.say('pinned again');
    await bench.turnEnd(4);
    t.match(await bench.event('tool:approved', ({ callId }) => callId === 'c-5'), { by: 'policy' });
  },
);

void t.test('where such a tool is refused, the model is not told of it, and no yes makes it run', async (t) => {
  const bench = await startBench(t, { ...ALLOWING, mcp: { pins: { onChange: 'refuse' } } });
  bench.model.next(callsTools([echo('c-1')]), says('ok'));
  const changed = withEcho({ inputSchema: { type: 'object' } });
  await bench.request('set-catalogue', { ...changed, ...pinnedEcho });
  await bench.say('go');
  await bench.turnEnd(1);
  const reason = /echo of workspace is refused: it has changed since its server was pinned \(arguments\)/;
  t.match(await bench.event('tool:denied'), { callId: 'c-1', by: 'policy', reason });
  t.match(json(bench.model.requests[1]?.messages.at(-1)), reason);
  t.notOk(bench.model.requests[0]!.tools.some(({ name }) => name === 'echo'));
  t.ok(
    bench.model.requests[0]!.tools.some(({ name }) => name === 'wait'),
    'the others are there',
  );
  t.same(bench.box.calls, []);
});

void t.test('a tool that changes while it is asked for is refused to the yes, too', async (t) => {
  const bench = await startBench(t, { mcp: { pins: { onChange: 'refuse' } } });
  bench.model.next(callsTools([echo('c-1')]), says('ok'));
  await bench.request('set-catalogue', { catalogue: { workspace: TOOLS }, ...pinnedEcho });
  await bench.say('go');
  await bench.asked('c-1');
  await bench.request('set-catalogue', { ...withEcho({ description: 'Another' }), ...pinnedEcho });
  for (let twice = 0; twice < 2; twice++) await t.rejects(bench.approve('c-1'), { code: 'ERR_DENIED' });
  await bench.approve('c-1', { approved: false });
  await bench.turnEnd(1);
  t.same(bench.box.calls, []);
});
