import t from 'tap';
import { ToolBox } from '../../test-tools.js';
import {
  beginV2,
  call,
  caller,
  NOBODY,
  remotes,
  request,
  serveModern,
  serveSessions,
  textOf,
  until,
} from './remote-kit.js';

void t.test(
  'modern: lists, calls and progress, with one detection for all sessions and no state for one',
  async (t) => {
    const box = new ToolBox();
    const server = await serveModern(t, box);
    const backend = remotes(t, { one: server.url });
    const connection = await backend.get(caller(), 'one');
    t.equal(connection.era, 'modern');
    const { tools } = (await connection.request(request('tools/list'))) as { tools: { name: string }[] };
    t.ok(tools.some(({ name }) => name === 'echo'));
    t.equal(textOf(await connection.callTool(call('echo', { text: 'a' }))), 'echo: a');
    const output: string[] = [];
    const waiting = connection.callTool(call('wait', { key: 'k' }, { onOutput: (_stream, text) => output.push(text) }));
    await box.started('k');
    box.finish('k');
    t.equal(textOf(await waiting), 'done k');
    t.same(output, ['waiting k']);
    const before = server.seen.length;
    const others = await Promise.all(['s-2', 's-3'].map((session) => backend.get(caller(session, session), 'one')));
    t.equal(textOf(await others[0]!.callTool(call('echo', { text: 'b' }))), 'echo: b');
    t.equal(server.seen.length, before + 1, 'other sessions cost no request of their own');
    t.match(backend.status('one'), { state: 'healthy', era: 'modern', latencyMs: Number });
  },
);

void t.test('modern: a question comes as a result, goes to the user, and the call is repeated', async (t) => {
  const server = await serveModern(t, new ToolBox());
  const backend = remotes(t, { one: server.url });
  const connection = await backend.get(caller(), 'one');
  const asked: string[] = [];
  const asks = {
    elicit: async (question: { message: string }) => {
      asked.push(question.message);
      return { action: 'accept' as const, content: { colour: 'red' } };
    },
  };
  t.match(textOf(await connection.callTool(call('ask-modern', {}, { asks }))), /red/);
  t.same(asked, ['Which colour?']);
});

for (const name of ['modern', 'legacy'] as const) {
  void t.test(`${name}: a call that is cancelled in the middle is cancelled at the server`, async (t) => {
    const box = new ToolBox();
    const server = name === 'modern' ? await serveModern(t, box) : await serveSessions(t, beginV2(box));
    const backend = remotes(t, { one: server.url });
    const connection = await backend.get(caller(), 'one');
    const abort = new AbortController();
    const waiting = connection.callTool(call('wait', { key: 'k' }, { signal: abort.signal }));
    await box.started('k');
    abort.abort();
    await t.rejects(waiting, { code: 'ERR_CANCELLED' });
    await until(() => box.cancelled.includes('k'));
    t.equal(textOf(await connection.callTool(call('echo', { text: 'on' }))), 'echo: on');
  });
}

void t.test('legacy: each session has a session of its own there, and the server sees it end', async (t) => {
  const box = new ToolBox();
  const server = await serveSessions(t, beginV2(box));
  const backend = remotes(t, { one: server.url });
  const [a, b] = await Promise.all(['s-1', 's-2'].map((session) => backend.get(caller(session, session), 'one')));
  t.equal(a!.era, 'legacy');
  t.equal(textOf(await a!.callTool(call('echo', { text: 'a' }))), 'echo: a');
  t.equal(textOf(await b!.callTool(call('echo', { text: 'b' }))), 'echo: b');
  t.equal(server.sessions.size, 2);
  await backend.releaseSession('s-1');
  t.equal(server.sessions.size, 1, 'DELETE');
  await backend.disconnect();
  t.equal(server.sessions.size, 0);
});

void t.test('legacy: an idle session is ended, and the next call starts another', async (t) => {
  const server = await serveSessions(t, beginV2(new ToolBox()));
  const backend = remotes(t, { one: server.url }, { mcp: { idleMs: 300 } });
  const connection = await backend.get(caller(), 'one');
  await until(() => server.sessions.size === 0);
  t.equal(textOf(await connection.callTool(call('echo', { text: 'a' }))), 'echo: a');
  t.equal(server.sessions.size, 1);
});

void t.test('legacy: a question during a call goes to the session that runs it', async (t) => {
  const server = await serveSessions(t, beginV2(new ToolBox()));
  const backend = remotes(t, { one: server.url }, { mcp: { maxConnections: 6 } });
  const colours = ['red', 'blue', 'green', 'black']; // more than there are places for calls and streams
  const answers = await Promise.all(
    colours.map(async (colour) => {
      const connection = await backend.get(caller(colour, colour), 'one');
      const asks = { elicit: async () => ({ action: 'accept' as const, content: { colour } }) };
      return textOf(await connection.callTool(call('ask', { times: 1 }, { asks })));
    }),
  );
  for (const [index, colour] of colours.entries()) t.match(answers[index], new RegExp(colour));
});

for (const unknown of [404, 400]) {
  void t.test(
    `legacy: a server that has forgotten the session (${unknown}) gets a new one, and the call once more`,
    async (t) => {
      const box = new ToolBox();
      const server = await serveSessions(t, beginV2(box), { unknown });
      const backend = remotes(t, { one: server.url });
      const connection = await backend.get(caller(), 'one');
      t.equal(textOf(await connection.callTool(call('echo', { text: 'a' }))), 'echo: a');
      await server.forget();
      t.equal(textOf(await connection.callTool(call('echo', { text: 'b' }))), 'echo: b');
      t.same(box.calls, ['echo a', 'echo b'], 'each ran once');
      t.equal(server.sessions.size, 1);
    },
  );
}

void t.test('legacy: a stream that is cut during a call is resumed from the last event', async (t) => {
  const box = new ToolBox();
  const server = await serveSessions(
    t,
    beginV2(box, (mcp) => {
      mcp.registerTool('cut', {}, async (ctx) => {
        ctx.http?.closeSSE?.();
        box.startedOf('cut').resolve();
        return { content: [{ type: 'text', text: await box.gate('cut').promise }] };
      });
    }),
  );
  const backend = remotes(t, { one: server.url });
  const connection = await backend.get(caller(), 'one');
  const running = connection.callTool(call('cut'));
  await box.started('cut');
  await until(() => server.seen.some(({ method, headers }) => method === 'GET' && 'last-event-id' in headers));
  box.finish('cut', 'taken up');
  t.equal(textOf(await running), 'taken up');
});

void t.test('a server that changes its protocol is detected again, and the call repeated', async (t) => {
  const box = new ToolBox();
  const modern = await serveModern(t, box);
  const backend = remotes(t, { one: modern.url });
  const connection = await backend.get(caller(), 'one');
  t.equal(textOf(await connection.callTool(call('echo', { text: 'new' }))), 'echo: new');
  await modern.close();
  const legacy = await serveSessions(t, beginV2(box), { port: modern.port });
  await connection.request(request('tools/list')); // may be repeated when it meets the end of the old connection
  t.equal(textOf(await connection.callTool(call('echo', { text: 'old' }))), 'echo: old');
  t.equal(legacy.sessions.size, 1);
  t.equal((await backend.get(caller(), 'one')).era, 'legacy');
});

void t.test('a changed list is reported, in both protocols', async (t) => {
  const box = new ToolBox();
  const modern = await serveModern(t, box);
  let tell: (() => void) | undefined;
  const legacy = await serveSessions(
    t,
    beginV2(box, (mcp) => {
      tell = () => mcp.sendToolListChanged();
    }),
  );
  const backend = remotes(t, { modern: modern.url, legacy: legacy.url });
  const changed: string[] = [];
  backend.watch(caller('', ''), 'modern', () => changed.push('modern'));
  backend.watch(caller('', ''), 'legacy', () => changed.push('legacy'));
  await until(() => legacy.seen.some(({ method }) => method === 'GET'));
  await until(() => {
    modern.handler.notify.toolsChanged(); // repeated until it listens
    tell?.();
    return changed.includes('modern') && changed.includes('legacy');
  });
  t.pass('both');
});

void t.test('no user sees another’s list or uses another’s connection', async (t) => {
  const seen: (string | undefined)[] = [];
  const box = new ToolBox();
  const server = await serveModern(t, box);
  const auth = {
    credentialsFor: async ({ user }: { user: string }) => ({
      key: user,
      provider: { token: async () => `token-of-${user}` },
    }),
    whenUnauthorized: async () => Promise.reject(new Error('not asked')),
  };
  const backend = remotes(t, { one: server.url }, { auth });
  for (const user of ['ann', 'bob']) {
    const connection = await backend.get(caller(`s-${user}`, user), 'one');
    const before = server.seen.length;
    await connection.callTool(call('echo', { text: user }));
    seen.push(server.seen[before]!.headers.authorization);
  }
  t.same(seen, ['Bearer token-of-ann', 'Bearer token-of-bob']);
});

void t.test('without an answer from the user the call goes on with a cancelled question', async (t) => {
  const server = await serveModern(t, new ToolBox());
  const connection = await remotes(t, { one: server.url }).get(caller(), 'one');
  t.match(textOf(await connection.callTool(call('ask-modern', {}, { asks: NOBODY }))), /cancel/);
});
