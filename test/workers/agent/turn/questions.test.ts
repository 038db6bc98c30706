import t from 'tap';
import { OF, startBench, type AgentBench, type EventOf } from '../agent-bench.js';
import { callsTools, says } from '../scripted-model.js';

const ASK = { id: 'c-1', name: 'ask', input: { times: 1 } };
const ALLOW = { approvals: { default: 'allow' } };

async function asked(bench: AgentBench): Promise<EventOf<'elicitation:request'>> {
  await bench.say('go');
  return bench.event('elicitation:request');
}

function reply(bench: AgentBench, requestId: string, content?: Record<string, unknown>): Promise<null> {
  const action = content ? 'accept' : 'decline';
  return bench.request('answer-elicitation', { ...OF, requestId, action, ...(content ? { content } : {}) });
}

void t.test(
  'a server’s question is an event, is pending on every attach, and its answer reaches the tool once',
  async (t) => {
    const bench = await startBench(t, ALLOW);
    bench.model.next(callsTools([ASK]), says('blue it is'));
    const { type: _type, seq: _seq, ...question } = await asked(bench);
    t.match(question, { server: 'workspace', origin: 'sandbox', mode: 'form', message: 'Which colour?' });
    t.match((await bench.attach())[0], { pending: [{ kind: 'elicitation', ...question }] });
    await t.rejects(reply(bench, question.requestId, { colour: 7 }), { code: 'ERR_TOOL_ARGS' });
    t.match((await bench.request('get-session', OF)).pending, [{ requestId: question.requestId }], 'it waits still');
    await reply(bench, question.requestId, { colour: 'blue' });
    t.match(await bench.event('elicitation:resolved'), { requestId: question.requestId, action: 'accept', by: 'user' });
    await t.rejects(reply(bench, question.requestId, { colour: 'red' }), { code: 'ERR_CALL_NOT_PENDING' });
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    t.same(bench.box.calls, ['ask [{"action":"accept","content":{"colour":"blue"}}]']);
  },
);

void t.test('a question that is declined, and more than a person can answer, are told to the server', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([{ ...ASK, input: { times: 12 } }]), says('well'));
  await asked(bench);
  const open = (): EventOf<'elicitation:request'>[] =>
    bench.events.filter((event): event is EventOf<'elicitation:request'> => event.type === 'elicitation:request');
  await bench.until(
    () => open().length === 10,
    () => `${open().length} questions`,
  );
  for (const { requestId } of open()) await reply(bench, requestId);
  await bench.turnEnd(1);
  t.equal(bench.box.calls[0]?.match(/decline/g)?.length, 10);
  t.equal(bench.box.calls[0]?.match(/cancel/g)?.length, 2);
});

void t.test('a turn that is cancelled closes its question everywhere, before it ends', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([ASK]));
  const { requestId } = await asked(bench);
  await bench.request('cancel-turn', OF);
  t.match(await bench.turnEnd(1), { stopReason: 'cancelled' });
  t.match(await bench.event('elicitation:resolved'), { requestId, action: 'cancel', by: 'stop' });
  t.ok(bench.types().indexOf('elicitation:resolved') < bench.types().indexOf('turn:end'));
  await t.rejects(reply(bench, requestId), { code: 'ERR_CALL_NOT_PENDING' });
});

void t.test('a question whose call died with its thread is closed, and the model is told of the call', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([ASK]), says('then not'));
  const { requestId } = await asked(bench);
  await bench.crash();
  await bench.start();
  t.match(await bench.event('elicitation:resolved'), { requestId, action: 'cancel', by: 'stop' });
  t.match(await bench.event('tool:result'), { callId: 'c-1', ok: false });
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.same((await bench.request('get-session', OF)).pending, []);
});

void t.test('a question over 64 KiB is cancelled without asking the user; one below it is asked', async (t) => {
  const bench = await startBench(t, ALLOW);
  bench.model.next(callsTools([{ ...ASK, input: { times: 1, length: 70_000 } }]), says('well'));
  await bench.say('go');
  await bench.turnEnd(1);
  t.notOk(bench.types().includes('elicitation:request'));
  t.match(bench.box.calls, ['ask [{"action":"cancel"}]']);
  bench.model.next(callsTools([{ ...ASK, id: 'c-2', input: { times: 1, length: 60_000 } }]), says('well'));
  const { requestId, message } = await asked(bench);
  t.equal(message.length, 60_000);
  await reply(bench, requestId);
  await bench.turnEnd(2);
});

void t.test(
  'a server in a sandbox that is not configured to ask reaches nobody, though it thinks it may',
  async (t) => {
    const bench = await startBench(t, { ...ALLOW, mcpServers: { workspace: { image: 'fairlead/workspace' } } });
    bench.model.next(callsTools([ASK]), says('then not'));
    await bench.say('go');
    t.match(await bench.event('tool:result'), { ok: false, content: [{ text: /[Mm]ethod not found/ }] });
    await bench.turnEnd(1);
    t.notOk(bench.types().includes('elicitation:request'));
  },
);
