import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { startBench } from '../agent-bench.js';
import { png } from '../../../helpers/images.js';
import { callsTools, fails, says, saysAndEnds, USAGE, type Script } from '../scripted-model.js';

const PNG = png(1, 1);

const call = (id: string, text = ''): Script => callsTools([{ id, name: 'echo', input: { text: id } }], { text });
const textOf = (message: unknown): string => JSON.stringify(message);

void t.test('a message becomes a turn whose durable events count from 1 without a gap', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('Hel', 'lo'));
  t.same(await bench.say('hi', 'm-1'), { turn: 1, queued: 0, duplicate: false });
  const end = await bench.turnEnd(1);
  t.same(
    bench.durable().map(({ type, seq }) => [type, seq]),
    [
      ['message:accepted', 1],
      ['turn:start', 2],
      ['text', 3],
      ['turn:end', 4],
    ],
  );
  t.match(bench.durable()[0], { id: 'm-1', turn: 1, queued: 0 });
  t.match(await bench.event('text'), { turn: 1, block: 0, text: 'Hello' });
  t.match(end, { stopReason: 'end_turn', usage: USAGE, model: 'scripted-1' });
  t.notOk(end.error);
});

void t.test('deltas say their block and offset and come before the finished text', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('Hel', 'lo'));
  await bench.say('hi');
  await bench.turnEnd(1);
  const deltas = bench.events.flatMap((event) => (event.type === 'text:delta' ? [event] : []));
  t.equal(deltas.map(({ text }) => text).join(''), 'Hello');
  t.equal(deltas[0]?.offset, 0);
  t.ok(bench.types().indexOf('text:delta') < bench.types().indexOf('text'));
});

void t.test('an approved tool runs, and its result goes to the model as a tool_result', async (t) => {
  const bench = await startBench(t);
  bench.model.next(
    callsTools([{ id: 'c-1', name: 'echo', input: { text: 'a' } }], { text: 'Let me see.' }),
    says('It said a.'),
  );
  await bench.say('go');
  t.match(await bench.asked('c-1'), {
    name: 'echo',
    server: 'workspace',
    args: { text: 'a' },
    position: 1,
    total: 1,
    turn: 1,
  });
  t.same(bench.box.calls, [], 'nothing runs before the yes');
  await bench.approve('c-1');
  const end = await bench.turnEnd(1);
  t.same(
    bench.durable().map(({ type }) => type),
    [
      'message:accepted',
      'turn:start',
      'text',
      'tool:approval_required',
      'tool:approved',
      'tool:start',
      'tool:result',
      'text',
      'turn:end',
    ],
  );
  t.same(
    bench.durable().map(({ seq }) => seq),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  t.match(await bench.event('tool:result'), { ok: true, content: [{ type: 'text', text: 'echo: a' }] });
  t.match(
    bench.events.filter((event) => event.type === 'text').map(({ block }) => block),
    [0, 2],
    'blocks are numbered over the whole turn',
  );
  t.same(end.usage, { inputTokens: 20, outputTokens: 10, cacheReadTokens: 4, cacheWriteTokens: 2 });
  const last = bench.model.requests[1]?.messages.at(-1);
  t.match(last, {
    role: 'user',
    content: [{ type: 'tool_result', tool_use_id: 'c-1', content: [{ type: 'text', text: 'echo: a' }] }],
  });
});

void t.test('the model is given the system prompt, the tools and the whole transcript', async (t) => {
  const bench = await startBench(t, { model: { system: 'Be kind.' } });
  bench.model.next(says('one'), says('two'));
  await bench.say('first');
  await bench.turnEnd(1);
  await bench.say('second');
  await bench.turnEnd(2);
  const [, request] = bench.model.requests;
  t.equal(request?.system, 'Be kind.');
  t.same(
    request?.tools.map(({ name }) => name),
    ['ask', 'echo', 'fail', 'print', 'show', 'wait', 'restart_sandbox'],
  );
  t.same(request?.messages, [
    { role: 'user', content: [{ type: 'text', text: 'first' }] },
    { role: 'assistant', content: [{ type: 'text', text: 'one' }] },
    { role: 'user', content: [{ type: 'text', text: 'second' }] },
  ]);
  t.same((await bench.store.readHistory('session-1')).length, 4);
});

void t.test(
  'a model that fails ends the turn with its code, keeps what was read, and the session goes on',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(
      fails(new FairleadError('ERR_MODEL', 'overloaded', { retryAfterMs: 7_000 }), 'I was sa'),
      says('fine again'),
    );
    await bench.say('go');
    t.match(await bench.turnEnd(1), { stopReason: 'error', error: { code: 'ERR_MODEL', retryAfterMs: 7_000 } });
    t.match(await bench.event('text'), { text: 'I was sa' });
    await bench.say('again');
    t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
    t.match(bench.model.requests[1]?.messages[1], { role: 'assistant', content: [{ type: 'text', text: 'I was sa' }] });
  },
);

void t.test('a fault without a code is told to the client as an internal error only', async (t) => {
  const bench = await startBench(t);
  bench.model.next(fails(new Error('a secret in a message')));
  await bench.say('go');
  const end = await bench.turnEnd(1);
  t.equal(end.error?.code, 'ERR_INTERNAL');
  t.notMatch(textOf(end), 'secret');
});

void t.test('a model that answers nothing ends its turn, and the transcript has no empty message', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says(), says('now'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  await bench.say('again');
  await bench.turnEnd(2);
  t.same(
    bench.model.requests[1]?.messages.map(({ role }) => role),
    ['user', 'user'],
  );
});

void t.test(
  'a turn that never stops calling tools ends at its limit of rounds, with all its calls answered',
  async (t) => {
    const bench = await startBench(t, { model: { maxRounds: 2 }, approvals: { default: 'allow' } });
    bench.model.next(call('c-1'), call('c-2'), says('later'));
    await bench.say('go');
    t.match(await bench.turnEnd(1), { stopReason: 'error', error: { code: 'ERR_MAX_ROUNDS' } });
    t.same(bench.box.calls, ['echo c-1', 'echo c-2']);
    await bench.say('continue');
    await bench.turnEnd(2);
    t.match(textOf(bench.model.requests[2]?.messages.at(-2)), 'c-2');
  },
);

void t.test('calls of an answer that was cut at max_tokens do not run', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.model.next(async function* () {
    yield {
      type: 'done',
      answer: {
        content: [
          { type: 'text', text: 'I will' },
          { type: 'tool_use', id: 'c-1', name: 'echo', input: {} },
        ],
        stopReason: 'max_tokens',
        usage: USAGE,
        model: 'scripted-1',
      },
    };
  }, says('ok'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'max_tokens' });
  t.same(bench.box.calls, []);
  await bench.say('again');
  await bench.turnEnd(2);
  t.notMatch(textOf(bench.model.requests[1]?.messages), 'tool_use');
});

void t.test('a refusal is passed on as such', async (t) => {
  const bench = await startBench(t);
  bench.model.next(saysAndEnds('refusal', 'No.'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'refusal' });
});

void t.test('two calls of one id in one answer are one call', async (t) => {
  const bench = await startBench(t);
  bench.model.next(
    callsTools([
      { id: 'c-1', name: 'echo', input: { text: 'a' } },
      { id: 'c-1', name: 'echo', input: { text: 'b' } },
    ]),
    says('ok'),
  );
  await bench.say('go');
  t.match(await bench.asked('c-1'), { total: 1, args: { text: 'a' } });
  await bench.approve('c-1');
  await bench.turnEnd(1);
  t.same(bench.box.calls, ['echo a']);
});

void t.test('an image of the person goes to the model in the form of its API', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('nice'));
  await bench.request('submit-message', {
    user: 'user-1',
    session: 'session-1',
    content: [{ type: 'image', mimeType: 'image/png', data: PNG }],
  });
  await bench.turnEnd(1);
  t.same(bench.model.requests[0]?.messages[0]?.content, [
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } },
  ]);
});

void t.test(
  'a fault of our own ends the turn with ERR_INTERNAL and a plain message; the session goes on',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(async function* () {
      yield { type: 'done', answer: { content: undefined as never, stopReason: 'end_turn', usage: USAGE, model: 'x' } };
    }, says('fine'));
    await bench.say('go');
    t.match(await bench.turnEnd(1), {
      stopReason: 'error',
      error: { code: 'ERR_INTERNAL', message: 'internal error' },
    });
    await bench.say('again');
    t.match(await bench.turnEnd(2), { stopReason: 'end_turn' });
  },
);

void t.test('blocks and usage are counted over all rounds of a turn', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  bench.model.next(call('c-1', 'one'), call('c-2', 'two'), call('c-3', 'three'), says('done'));
  await bench.say('go');
  const { usage } = await bench.turnEnd(1);
  t.equal(usage.inputTokens, 4 * USAGE.inputTokens);
  const blocks = bench.events.flatMap((event) => (event.type === 'text' ? [event.block] : []));
  t.same(blocks, [0, 2, 4, 6]);
});

void t.test('a flood of pieces that are ready at once does not keep others from the thread', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says(...Array.from({ length: 30_000 }, () => 'x')));
  await bench.say('go');
  await bench.turnEnd(1);
  // What the thread sends while it turns comes in pieces; all at once would be one.
  const pieces = bench.types().filter((type) => type === 'text:delta').length;
  t.ok(pieces >= 3, `${pieces} pieces`);
  t.equal((await bench.event('text')).text.length, 30_000);
});
