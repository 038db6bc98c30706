import t, { type Test } from 'tap';
import { inside, makeNodeImage } from '../../../../mcp-servers/node-image.js';
import { sdkV1, sdkV2 } from '../../../../mcp-servers/programs.js';
import { startSandboxes, type TestSandboxes } from '../../../../mcp-servers/sandbox-host.js';
import { until } from '../../../../helpers/until.js';
import { callOf, OF, startCommands, textOf, type CommandBench } from './command-bench.js';

const OTHER = { ...OF, session: 'session-2' };
const image = await makeNodeImage('v1');
t.teardown(() => image.remove());

type Kind = 'docker' | 'process';
type Bench = Omit<CommandBench, 'sandboxes'> & TestSandboxes;

/** `box` is the image server; `two` and `one` run in its sandbox. */
function start(t: Test, kind: Kind, { scope = 'session', sandbox = {}, more = {} } = {}): Bench {
  const program = (name: 'v1' | 'v2'): object =>
    kind === 'docker' ? { command: 'node', args: [inside(name)] } : name === 'v1' ? sdkV1() : sdkV2();
  const servers = {
    box: { image: kind === 'docker' ? image.tag : 'fairlead/workspace', scope, env: { FROM_BOX: 'yes' } },
    two: { ...program('v2'), sandbox: 'box', scope, env: { MINE: 'yes' } },
    one: { ...program('v1'), sandbox: 'box', scope },
    none: { command: '/no/such/program', sandbox: 'box', scope },
    ...more,
  };
  let made: TestSandboxes | undefined;
  const settings = { pool: { min: 0, maxStarting: 2 }, startTimeoutMs: 20_000, ...sandbox };
  const bench = startCommands(t, {
    servers,
    sandbox: settings,
    host: (config, log) => (made = startSandboxes(t, config, log, kind)).host,
  });
  if (!made) throw new Error('there is no host');
  return { ...bench, host: made.host, sandboxes: made.sandboxes };
}

for (const kind of ['docker', 'process'] as const) {
  void t.test(
    `${kind}: several servers of a session share one sandbox and its files, each with its own protocol`,
    async (t) => {
      const { commands, sandboxes } = start(t, kind);
      const [two, one] = await Promise.all([commands.get(OF, 'two'), commands.get(OF, 'one')]);
      t.same([two.era, one.era], ['modern', 'legacy']);
      t.equal(await textOf(one, callOf('echo', { text: 'a' })), 'a');
      const env = JSON.parse(await textOf(two, callOf('env'))) as Record<string, string>;
      t.match(env, { MINE: 'yes', FROM_BOX: 'yes' });
      t.notOk('REDIS_URL' in env || 'npm_config_cache' in env);
      t.equal(sandboxes.count('leased'), 1);
      await commands.get(OTHER, 'two');
      t.equal(sandboxes.count('leased'), 2);
    },
  );

  void t.test(
    `${kind}: one that dies is told, leaves its sandbox and its neighbours alone, and is started again`,
    async (t) => {
      const { commands, sandboxes } = start(t, kind);
      const [two, one] = [await commands.get(OF, 'two'), await commands.get(OF, 'one')];
      await t.rejects(two.callTool(callOf('exit', { code: 9 })), { code: 'ERR_MCP', message: /exited with code 9/ });
      t.equal(await textOf(one, callOf('echo', { text: 'b' })), 'b');
      t.equal(await textOf(await commands.get(OF, 'two'), callOf('echo', { text: 'c' })), 'c');
      t.equal(sandboxes.count('leased'), 1);
    },
  );

  void t.test(`${kind}: a program that is not there is told in plain words`, async (t) => {
    const { commands } = start(t, kind);
    await t.rejects(commands.get(OF, 'none'), { message: /no.such.program|not in the sandbox/ });
  });

  void t.test(`${kind}: what does not end with its input is killed when its session lets go of it`, async (t) => {
    const { commands, host, sandboxes } = start(t, kind);
    const two = await commands.get(OF, 'two');
    await textOf(two, callOf('stubborn'));
    const pid = await textOf(two, callOf('pid'));
    await commands.releaseSession(OF.session);
    const again = await commands.get(OF, 'two');
    t.equal(sandboxes.count('leased'), 1);
    t.ok(host);
    const there = async (): Promise<boolean> => (await textOf(again, callOf('alive', { pid: Number(pid) }))) === 'true';
    await until('the old one is killed', async () => !(await there()), { timeoutMs: 15_000 });
  });
}

void t.test(
  'a sandbox does not hibernate under a call of a server that runs in it, and both come back after',
  async (t) => {
    const bench = start(t, 'docker', { sandbox: { hibernateAfterMs: 1_500 } });
    const { commands, sandboxes } = bench;
    const two = await commands.get(OF, 'two');
    await textOf(two, callOf('write', { file: '/workspace/mark', text: 'kept' }));
    const stop = new AbortController();
    const waiting = two.callTool(callOf('wait', {}, { signal: stop.signal }));
    const ended = bench.lines;
    await t.rejects(
      until('it hibernates', () => sandboxes.count('leased') === 0, { timeoutMs: 4_000 }),
      'not while it runs',
    );
    stop.abort();
    await t.rejects(waiting, { code: 'ERR_CANCELLED' });
    await until('it hibernates', () => sandboxes.count('leased') === 0, { timeoutMs: 15_000 });
    const back = await commands.get(OF, 'two');
    t.not(back, two, 'a new one');
    t.equal(await textOf(back, callOf('read', { file: '/workspace/mark' })), 'kept', 'and the files are there');
    t.ok(ended.some(({ msg }) => msg === 'sandbox hibernated'));
  },
);

void t.test('a ninth server in one sandbox is refused', async (t) => {
  const two = { command: 'node', args: [inside('v1')], sandbox: 'box' };
  const more = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`more-${index}`, two]));
  const { commands } = start(t, 'docker', { more });
  for (let index = 0; index < 8; index++) await commands.get(OF, `more-${index}`);
  await t.rejects(commands.get(OF, 'more-8'), { code: 'ERR_UNAVAILABLE' });
});

void t.test('a shared sandbox is one for all sessions, with all that runs in it', async (t) => {
  const bench = start(t, 'docker', { scope: 'shared' });
  const { commands, sandboxes } = bench;
  t.equal(await commands.get(OF, 'two'), await commands.get(OTHER, 'two'));
  await commands.releaseSession(OF.session);
  t.equal(await textOf(await commands.get(OTHER, 'two'), callOf('echo', { text: 'd' })), 'd');
  t.equal(sandboxes.count('leased'), 1);
  t.same(await sandboxes.sessions(), ['shared_0']);
});
