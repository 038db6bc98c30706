import { MessageChannel, type MessagePort } from 'node:worker_threads';
import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { Channel } from '../../../../src/shared/threads/channel.js';
import { deferred } from '../../../helpers/processes.js';

interface Server {
  requests: {
    add: { request: { a: number; b: number }; result: number };
    fail: { request: { how: 'coded' | 'plain' | 'uncloneable' }; result: unknown };
    hang: { request: Record<string, never>; result: string };
    knock: { request: { port: MessagePort }; result: null };
  };
  notifications: { told: { text: string } };
}

interface Nothing {
  requests: Record<string, never>;
  notifications: Record<string, never>;
}

interface Pair {
  client: Channel<Nothing, Server>;
  server: Channel<Server, Nothing>;
  told: string[];
  hanging: { promise: Promise<string>; resolve: (text: string) => void };
}

function makePair(t: { teardown: (fn: () => void) => unknown }): Pair {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const client = new Channel<Nothing, Server>(port1);
  const server = new Channel<Server, Nothing>(port2);
  const told: string[] = [];
  const hanging = deferred<string>();
  client.handle({}, {});
  server.handle(
    {
      add: ({ a, b }) => a + b,
      fail: ({ how }) => {
        if (how === 'coded') throw new FairleadError('ERR_UNAVAILABLE', 'full', { retryAfterMs: 5 });
        if (how === 'plain') throw new TypeError('a fault');
        return () => undefined;
      },
      hang: () => hanging.promise,
      knock: ({ port }) => {
        port.postMessage('hello');
        port.close();
        return null;
      },
    },
    { told: ({ text }) => told.push(text) },
  );
  return { client, server, told, hanging };
}

void t.test('a request gets its result, whatever else is under way', async (t) => {
  const { client, hanging } = makePair(t);
  const hung = client.request('hang', {});
  t.same(await Promise.all([1, 2, 3].map((n) => client.request('add', { a: n, b: 1 }))), [2, 3, 4]);
  hanging.resolve('at last');
  t.equal(await hung, 'at last');
});

void t.test('an error crosses with its code, and one without a code as an internal one', async (t) => {
  const { client } = makePair(t);
  const coded: unknown = await client.request('fail', { how: 'coded' }).catch((error: unknown) => error);
  t.ok(coded instanceof FairleadError);
  t.match(coded, { code: 'ERR_UNAVAILABLE', message: 'full', retryAfterMs: 5 });
  await t.rejects(client.request('fail', { how: 'plain' }), { code: 'ERR_INTERNAL', message: 'a fault' });
  await t.rejects(client.request('fail', { how: 'uncloneable' }), { code: 'ERR_INTERNAL' });
});

void t.test('a request without a handler fails at once', async (t) => {
  const { client } = makePair(t);
  await t.rejects(client.request('nothing' as 'hang', {}), { code: 'ERR_INTERNAL' });
});

void t.test('an answer that does not come in time is a timeout, and a late one is ignored', async (t) => {
  const { client, hanging } = makePair(t);
  await t.rejects(client.request('hang', {}, { timeoutMs: 20 }), { code: 'ERR_CHANNEL_TIMEOUT' });
  hanging.resolve('too late');
  t.equal(await client.request('add', { a: 1, b: 1 }), 2);
});

void t.test('closing settles every caller with one error, and refuses later ones', async (t) => {
  const { client, server, told } = makePair(t);
  const waiting = [client.request('hang', {}), client.request('hang', {}, { timeoutMs: Infinity })];
  const settled = Promise.allSettled(waiting);
  const error = new FairleadError('ERR_CHANNEL_CLOSED', 'the thread has died');
  client.close(error);
  client.close();
  for (const result of await settled) t.equal(result.status === 'rejected' && result.reason, error);
  await t.rejects(client.request('add', { a: 1, b: 1 }), error);
  client.notify('told', { text: 'nobody hears' });
  server.close();
  t.same(told, []);
});

void t.test('an answer after the close of its server’s end is not sent', async (t) => {
  const { client, server, hanging } = makePair(t);
  const hung = client.request('hang', {}, { timeoutMs: 50 });
  await client.request('add', { a: 1, b: 1 });
  server.close();
  hanging.resolve('closed by now');
  await t.rejects(hung, { code: 'ERR_CHANNEL_TIMEOUT' });
});

void t.test('notifications arrive in the order they were sent, before a later request', async (t) => {
  const { client, told } = makePair(t);
  for (const text of ['a', 'b', 'c']) client.notify('told', { text });
  await client.request('add', { a: 1, b: 1 });
  t.same(told, ['a', 'b', 'c']);
});

void t.test('a port is transferred with its message', async (t) => {
  const { client } = makePair(t);
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const heard = new Promise((resolve) => port1.once('message', resolve));
  await client.request('knock', { port: port2 }, { transfer: [port2] });
  t.equal(await heard, 'hello');
});

void t.test('a message that cannot be cloned rejects at once and leaves no caller behind', async (t) => {
  const { client } = makePair(t);
  const body = { port: (() => undefined) as never };
  await t.rejects(client.request('knock', body, { timeoutMs: Infinity }), { name: 'DataCloneError' });
  t.equal(await client.request('add', { a: 1, b: 1 }), 2);
});

void t.test('requests that come before the other side serves wait in the port', async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const client = new Channel<Nothing, Pick<Server, 'notifications'> & { requests: Pick<Server['requests'], 'add'> }>(
    port1,
  );
  client.handle({}, {});
  const early = client.request('add', { a: 2, b: 3 });
  const server = new Channel<
    { requests: Pick<Server['requests'], 'add'>; notifications: Server['notifications'] },
    Nothing
  >(port2);
  server.handle({ add: ({ a, b }) => a + b }, { told: () => undefined });
  t.equal(await early, 5);
});
