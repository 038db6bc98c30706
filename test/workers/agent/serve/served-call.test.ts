import { setMaxListeners } from 'node:events';
import type { InputRequest } from '@modelcontextprotocol/server';
import t, { type Test } from 'tap';
import { ServedCall, type ClientQuestion, type CallLink } from '../../../../workers/agent/serve/served-call.js';
import { ServedCalls } from '../../../../workers/agent/serve/served-calls.js';
import { deferred } from '../../../helpers/processes.js';

const never = new AbortController().signal;
setMaxListeners(20, never);

function link(options: Partial<CallLink> = {}): CallLink {
  return {
    signal: never,
    capabilities: { elicitation: { form: {} } },
    logLevel: undefined,
    onProgress: () => undefined,
    onLog: () => undefined,
    ...options,
  };
}

/** A question whose answer is a word. */
function question(key: string, options: Partial<ClientQuestion<string>> = {}): ClientQuestion<string> {
  return {
    key,
    request: { method: 'elicitation/create', params: { message: key } } as InputRequest,
    read: (response) => (typeof response === 'string' ? response : undefined),
    unanswered: () => 'nobody',
    signal: never,
    ...options,
  };
}

function makeCall(t: Test, waitMs = 60_000): { call: ServedCall; ended: () => number } {
  let count = 0;
  const call = new ServedCall({ waitMs, onEnd: () => count++ });
  t.teardown(() => call.abort());
  return { call, ended: () => count };
}

t.test(
  'questions asked together reach the client in one answer; what does not fit is asked again, and the work goes on',
  async (t) => {
    const { call, ended } = makeCall(t);
    call.start(link(), undefined, async () => {
      const both = await Promise.all([call.ask(question('name')), call.ask(question('color'))]);
      return { both, last: await call.ask(question('last')) };
    });
    t.match(await call.next(), { asks: { name: {}, color: {} }, round: 1 });
    t.ok(call.waiting);
    call.resume(link(), { name: 'Ann', color: 5 });
    t.match(await call.next(), { asks: { name: undefined, color: {} }, round: 2 });
    call.resume(link(), { color: 'blue' });
    t.match(await call.next(), { asks: { last: {} }, round: 3 });
    call.resume(link(), { last: 'yes' });
    t.strictSame(await call.next(), { result: { both: ['Ann', 'blue'], last: 'yes' } });
    t.equal(ended(), 1);
    t.ok(call.signal.aborted);
  },
);

t.test(
  'responses that came with the first request answer what the server asks, but not what only a person may',
  async (t) => {
    const { call } = makeCall(t);
    call.start(link(), { name: 'Ann', approval: 'yes' }, async () => ({
      name: await call.ask(question('name', { early: true })),
      approval: await call.ask(question('approval')),
    }));
    t.match(await call.next(), { asks: { name: undefined, approval: {} } });
    call.resume(link(), { approval: 'no' });
    t.strictSame(await call.next(), { result: { name: 'Ann', approval: 'no' } });
  },
);

t.test('two questions of one name are two', async (t) => {
  const { call } = makeCall(t);
  call.start(link(), undefined, async () => ({
    both: await Promise.all([call.ask(question('same')), call.ask(question('same'))]),
  }));
  const outcome = await call.next();
  const keys = Object.keys('asks' in outcome ? outcome.asks : {});
  t.equal(keys.length, 2);
  call.resume(link(), Object.fromEntries(keys.map((key, index) => [key, `answer ${index}`])));
  t.strictSame(await call.next(), { result: { both: ['answer 0', 'answer 1'] } });
});

t.test('a call whose client does not come back is aborted, and its question goes unanswered', async (t) => {
  const { call, ended } = makeCall(t, 10);
  const answered = deferred<string>();
  const aborted = deferred<void>();
  call.signal.addEventListener('abort', () => aborted.resolve());
  call.start(link(), undefined, async () => {
    answered.resolve(await call.ask(question('name')));
    return {};
  });
  t.match(await call.next(), { asks: { name: {} } });
  await aborted.promise;
  t.equal(await answered.promise, 'nobody');
  t.equal(ended(), 1);
  t.equal(await call.ask(question('late')), 'nobody');
});

t.test('a client that goes while the work runs aborts it', async (t) => {
  const { call, ended } = makeCall(t);
  const client = new AbortController();
  call.start(link({ signal: client.signal }), undefined, () => new Promise(() => undefined));
  const next = call.next();
  client.abort();
  await t.rejects(next, { code: 'ERR_CANCELLED' });
  t.equal(ended(), 1);
});

t.test('a server that takes its question back is not answered, and one that asks for ever is stopped', async (t) => {
  const { call } = makeCall(t);
  const server = new AbortController();
  call.start(link(), undefined, async () => ({ said: await call.ask(question('name', { signal: server.signal })) }));
  t.match(await call.next(), { asks: { name: {} } });
  server.abort();
  call.resume(link(), { name: 'too late' });
  t.strictSame(await call.next(), { result: { said: 'nobody' } });

  const { call: endless } = makeCall(t);
  endless.start(link(), undefined, async () => ({ said: await endless.ask(question('name')) }));
  let rounds = 0;
  await t.rejects(
    (async () => {
      for (;;) {
        await endless.next();
        rounds++;
        endless.resume(link(), {});
      }
    })(),
    { code: 'ERR_MCP' },
  );
  t.equal(rounds, 20);
  const { call: greedy } = makeCall(t);
  greedy.start(link(), undefined, async () => {
    const asked = Array.from({ length: 11 }, (_, index) => greedy.ask(question(`q${index}`)));
    await Promise.all(asked);
    return {};
  });
  await t.rejects(greedy.next(), { code: 'ERR_MCP' });
});

t.test(
  'a client of the older protocol is asked at once; an error or a response that does not fit is no answer',
  async (t) => {
    const { call } = makeCall(t);
    const answers: unknown[] = ['Ann', 7, new Error('no')];
    const push = async (): Promise<unknown> => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    call.start(link({ push }), undefined, async () => {
      const said = [];
      for (const key of ['a', 'b', 'c']) said.push(await call.ask(question(key)));
      return { said };
    });
    t.strictSame(await call.next(), { result: { said: ['Ann', 'nobody', 'nobody'] } });
  },
);

t.test('calls are bounded per session; the oldest waiting call makes room', async (t) => {
  const calls = new ServedCalls({ maxRunning: 2, maxWaiting: 2, waitMs: 60_000 });
  const open = async (): Promise<ServedCall> => {
    const call = calls.open({ session: 's', user: 'ann' });
    call.start(link(), undefined, async () => ({ said: await call.ask(question('name')) }));
    await call.next();
    return call;
  };
  const [first, second] = [await open(), await open()];
  t.equal(calls.findWaiting('s', first.id), first);
  t.equal(calls.findWaiting('other', first.id), undefined);
  const third = await open();
  t.equal(calls.findWaiting('s', first.id), undefined);
  t.ok(first.signal.aborted);
  for (const call of [second, third]) call.resume(link(), {});
  t.equal(calls.findWaiting('s', second.id), undefined, 'one that has its client is not there for another');
  t.throws(() => calls.open({ session: 's', user: 'ann' }), { code: 'ERR_TOO_MANY_REQUESTS' });
  calls.release('s');
  await t.rejects(second.next(), { code: 'ERR_CANCELLED' });
  await t.rejects(third.next(), { code: 'ERR_CANCELLED' });
  t.notOk(calls.isActive('s'));
  t.equal(calls.size, 0);
});

t.test('a drain aborts waiting calls at once, and running ones when the grace is over', async (t) => {
  const calls = new ServedCalls({ maxRunning: 5, maxWaiting: 5, waitMs: 60_000 });
  const waiting = calls.open({ session: 's', user: 'ann' });
  waiting.start(link(), undefined, async () => ({ said: await waiting.ask(question('name')) }));
  await waiting.next();
  const quick = deferred<object>();
  const running = calls.open({ session: 's', user: 'ann' });
  running.start(link(), undefined, async () => ({ ...(await quick.promise) }));
  const slow = calls.open({ session: 'r', user: 'bob' });
  slow.start(link(), undefined, () => new Promise(() => undefined));
  const outcomes = [running.next(), slow.next()];
  const grace = new AbortController();
  const drained = calls.drain(grace.signal);
  t.ok(waiting.signal.aborted);
  quick.resolve({ done: true });
  t.strictSame(await outcomes[0], { result: { done: true } });
  grace.abort();
  await t.rejects(outcomes[1]!, { code: 'ERR_CANCELLED' });
  await drained;
  t.equal(calls.size, 0);
});

t.test('calls of a user end together, those too that wait for their client; other users’ go on', async (t) => {
  const calls = new ServedCalls({ maxRunning: 5, maxWaiting: 5, waitMs: 60_000 });
  const waiting = calls.open({ session: 's', user: 'ann' });
  waiting.start(link(), undefined, async () => ({ said: await waiting.ask(question('name')) }));
  await waiting.next();
  const running = calls.open({ session: 'other', user: 'ann' });
  running.start(link(), undefined, () => new Promise(() => undefined));
  const bobs = calls.open({ session: 'r', user: 'bob' });
  const quick = deferred<object>();
  bobs.start(link(), undefined, async () => ({ ...(await quick.promise) }));
  const [next, ofBob] = [running.next(), bobs.next()];
  calls.stopUsers(new Set(['ann', 'carl']));
  t.ok(waiting.signal.aborted);
  await t.rejects(next, { code: 'ERR_CANCELLED' });
  quick.resolve({ done: true });
  t.strictSame(await ofBob, { result: { done: true } });
  t.equal(calls.size, 0);
});
