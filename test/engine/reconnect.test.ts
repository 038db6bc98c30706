import { createParser } from 'eventsource-parser';
import t from 'tap';
import { text, tool } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startStack } from '../helpers/stack.js';
import { connect, type ServerEvent } from '../helpers/ws-client.js';

const TRIES = 10;

const stack = await startStack({
  config: {
    approvals: { default: 'ask', timeoutMs: 60_000 },
    store: { eventLog: { maxBytes: 4_000 } },
    sandbox: { driver: 'process' },
  },
  env: { DOCKER_HOST: '' },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

const durable = (events: readonly ServerEvent[]): unknown[] =>
  events.filter((event) => 'seq' in event && event.type !== 'session:ready');

t.test('ten times cut in a moment, in the middle of an answer: each event comes once, the text is whole', async (t) => {
  const first = await connect(engine.wsUrl);
  const { session } = await first.ready;
  const gates = Array.from({ length: TRIES }, () => deferred<void>());
  const pieces = gates.map(({ promise }, index) => ({ gate: promise, text: `piece ${index} ` }));
  model.enqueue({
    blocks: [
      {
        text: (async function* () {
          for (const { gate, text } of pieces) {
            yield text;
            await gate;
          }
        })(),
      },
    ],
  });
  first.say('go');
  await first.waitFor('text:delta');
  await first.terminate();
  let after = first.lastSeq;
  const seen: ServerEvent[] = [...first.events];
  for (const gate of gates) {
    const client = await connect(engine.wsUrl, { session, after });
    const delta = await client.waitFor('text:delta');
    t.equal(delta.offset, 0, 'what is streaming now comes whole');
    gate.resolve();
    await client.terminate();
    t.same(client.gaps(), []);
    after = client.lastSeq || after;
    seen.push(...client.events);
  }
  const last = await connect(engine.wsUrl, { session, after });
  t.teardown(() => last.close());
  await last.turnEnd(1);
  seen.push(...last.events);
  const seqs = seen.flatMap((event) => ('seq' in event && event.type !== 'session:ready' ? [event.seq] : []));
  t.same(seqs, [1, 2, 3, 4]);
  t.match(
    seen.find(({ type }) => type === 'text'),
    { text: pieces.map(({ text }) => text).join('') },
  );
  t.same(last.gaps(), []);
});

t.test('two sockets of one session get the same events; one that asks from the start gets them too', async (t) => {
  const one = await connect(engine.wsUrl);
  t.teardown(() => one.close());
  const { session } = await one.ready;
  const two = await connect(engine.wsUrl, { session });
  t.teardown(() => two.close());
  await two.ready;
  await one.ask('hello');
  await two.turnEnd(1);
  const three = await connect(engine.wsUrl, { session, after: 0 });
  t.teardown(() => three.close());
  await three.turnEnd(1);
  t.same(durable(two.events), durable(one.events));
  t.same(durable(three.events), durable(one.events));
});

t.test('an after that is ahead of the log is refused; over SSE it is a problem', async (t) => {
  const client = await connect(engine.wsUrl);
  const { session } = await client.ready;
  await client.close();
  const ahead = await connect(engine.wsUrl, { session, after: 7 });
  t.match(await ahead.closed, { code: 4400, reason: /ahead/ });
  const answer = await fetch(`${engine.url}/v1/sessions/${session}/events?after=7`);
  t.equal(answer.status, 400);
  t.match(await answer.json(), { code: 'ERR_BAD_FRAME' });
});

t.test('Last-Event-ID goes on where a stream of server-sent events was cut', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const { session } = await client.ready;
  await client.ask('hello');
  const read = async (headers: Record<string, string>, count: number): Promise<string[]> => {
    const abort = new AbortController();
    const answer = await fetch(`${engine.url}/v1/sessions/${session}/events?after=0`, {
      headers,
      signal: abort.signal,
    });
    const ids: string[] = [];
    const parser = createParser({
      onEvent: ({ id }) => {
        if (id !== undefined) ids.push(id);
      },
    });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    while (ids.length < count) parser.feed((await reader.read()).value ?? '');
    abort.abort();
    return ids;
  };
  t.same((await read({}, 4)).slice(0, 2), ['1', '2']);
  t.same(await read({ 'last-event-id': '2' }, 2), ['3', '4']);
});

t.test('a log that is over its bytes no longer reaches back: the transcript comes instead, never a gap', async (t) => {
  const client = await connect(engine.wsUrl);
  const { session } = await client.ready;
  for (let turn = 1; turn <= 4; turn++) {
    model.enqueue(text(`${turn}`.repeat(2_000)));
    await client.ask(`turn ${turn}`);
  }
  await client.close();
  const back = await connect(engine.wsUrl, { session, after: 2 });
  t.teardown(() => back.close());
  const ready = await back.ready;
  t.equal(ready.reset, true);
  t.equal(ready.seq, 16);
  t.match(ready.transcript?.at(-1), { role: 'assistant', content: [{ text: '4'.repeat(2_000) }] });
  model.enqueue(text('five'));
  await back.ask('turn 5');
  t.same(back.gaps(), []);
});

t.test('an approval outlives kill -9, is listed whole, and answered over HTTP it closes everywhere', async (t) => {
  const client = await connect(engine.wsUrl);
  const { session } = await client.ready;
  model.enqueue(tool('run_command', { command: 'echo yes >> yes.txt' }), text('done'));
  client.say('run it');
  const asked = await client.waitFor('tool:approval_required');
  await engine.restart({ signal: 'SIGKILL' });
  const [one, two] = await Promise.all([
    connect(engine.wsUrl, { session, after: client.lastSeq }),
    connect(engine.wsUrl, { session, after: client.lastSeq }),
  ]);
  t.teardown(() => Promise.all([one.close(), two.close()]));
  const { type: _type, seq: _seq, ...question } = asked;
  t.same((await one.ready).pending, [{ kind: 'approval', ...question }]);
  t.equal(model.active, 0, 'the model is not asked again for what it has answered');
  const approve = (): Promise<Response> =>
    fetch(`${engine.url}/v1/sessions/${session}/approvals/${asked.callId}`, {
      method: 'POST',
      body: JSON.stringify({ approved: true }),
      headers: { 'content-type': 'application/json' },
    });
  t.equal((await approve()).status, 200);
  t.match(await (await approve()).json(), { code: 'ERR_CALL_NOT_PENDING' });
  for (const each of [one, two]) {
    t.match(await each.waitFor('tool:approved'), { callId: asked.callId, by: 'user' });
    t.match(await each.turnEnd(1), { stopReason: 'end_turn' });
    t.same(each.gaps(), []);
  }
  t.same(model.violations, []);
});
