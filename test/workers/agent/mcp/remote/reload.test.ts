/** `url` servers that a reload adds, changes and takes away, while calls run. */
import t, { type Test } from 'tap';
import { parseConfig, type Config } from '../../../../../src/shared/config.js';
import { liveView } from '../../../../../src/shared/live-view.js';
import { registry } from '../../../../../src/shared/metrics.js';
import { Remotes } from '../../../../../workers/agent/mcp/remote/remotes.js';
import { ToolBox } from '../../test-tools.js';
import { beginV2, call, caller, log, serveModern, serveSessions, textOf, until } from './remote-kit.js';

type Servers = Record<string, Record<string, unknown>>;

/** Its servers, and what gives it others. */
function reloadable(t: Test, servers: Servers): { backend: Remotes; reload: (servers: Servers, mcp?: object) => void } {
  const configOf = (mcpServers: Servers, mcp: object = {}): Config =>
    parseConfig({ mcp: { allowLoopback: true, idleMs: 60_000, ...mcp }, mcpServers }, {});
  let current = configOf(servers);
  registry.clear();
  const view = liveView<Config>(Object.keys(current) as (keyof Config)[], () => current);
  const backend = new Remotes(view, log);
  t.teardown(() => backend.disconnect());
  const reload = (next: Servers, mcp?: object): void => {
    current = configOf(next, mcp);
    backend.applyConfig();
  };
  return { backend, reload };
}

for (const era of ['modern', 'legacy'] as const) {
  const start = (t: Test, box: ToolBox) => (era === 'modern' ? serveModern(t, box) : serveSessions(t, beginV2(box)));

  t.test(`${era}: a running call ends on the server of before, the next one goes to the new address`, async (t) => {
    const [oldBox, newBox] = [new ToolBox(), new ToolBox()];
    const [old, now] = [await start(t, oldBox), await start(t, newBox)];
    const { backend, reload } = reloadable(t, { docs: { url: old.url } });
    const connection = await backend.get(caller(), 'docs');
    const running = connection.callTool(call('wait', { key: 'k' }));
    await oldBox.started('k');
    reload({ docs: { url: now.url } });
    const next = await backend.get(caller(), 'docs');
    t.equal(textOf(await next.callTool(call('echo', { text: 'x' }))), 'echo: x');
    oldBox.finish('k', 'ended there');
    t.equal(textOf(await running), 'ended there');
    t.same([oldBox.calls, newBox.calls], [['wait k'], ['echo x']]);
  });

  t.test(`${era}: a server that is gone takes no new call, and is left when its last one has ended`, async (t) => {
    const box = new ToolBox();
    const docs = await start(t, box);
    const { backend, reload } = reloadable(t, { docs: { url: docs.url } });
    const connection = await backend.get(caller(), 'docs');
    const running = connection.callTool(call('wait', { key: 'k' }));
    await box.started('k');
    reload({});
    await t.rejects(backend.get(caller(), 'docs'), { code: 'ERR_MCP' });
    t.equal(backend.status('docs'), undefined);
    box.finish('k', 'ended there');
    t.equal(textOf(await running), 'ended there');
    if (!('sessions' in docs)) return; // a modern server knows of no session that ends
    await until(() => (docs.sessions as Map<string, unknown>).size === 0, 60_000);
    await t.rejects(connection.callTool(call('echo', { text: 'late' })), { code: 'ERR_MCP', message: /or removed/ });
  });
}

t.test('headers of now go with the next request, and a server that is as before keeps its connection', async (t) => {
  const [changed, same] = [
    await serveSessions(t, beginV2(new ToolBox())),
    await serveSessions(t, beginV2(new ToolBox())),
  ];
  const of = (key: string): Servers => ({
    changed: { url: changed.url, headers: { 'x-key': key } },
    same: { url: same.url },
  });
  const { backend, reload } = reloadable(t, of('one'));
  const ask = async (server: string): Promise<void> =>
    void (await (await backend.get(caller(), server)).callTool(call('echo', { text: server })));
  await ask('changed');
  await ask('same');
  reload(of('two'));
  const seen = changed.seen.length;
  await ask('changed');
  await ask('same');
  t.same([...new Set(changed.seen.slice(seen).map(({ headers }) => headers['x-key']))], ['two']);
  t.equal(same.sessions.size, 1, 'one session there, as before');
});

t.test('a host that is no longer allowed a private address is connected to no more', async (t) => {
  const docs = await serveModern(t, new ToolBox());
  const { backend, reload } = reloadable(t, { docs: { url: docs.url } });
  const echo = async (): Promise<string> =>
    textOf(await (await backend.get(caller(), 'docs')).callTool(call('echo', { text: 'x' })));
  t.equal(await echo(), 'echo: x');
  const before = docs.seen.length;
  const url = docs.url.replace('http:', 'https:');
  reload({ docs: { url } }, { allowLoopback: false });
  await t.rejects(echo(), /allowLoopback/);
  t.equal(docs.seen.length, before);
});
