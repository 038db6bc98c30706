import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { writeRecord } from '../../../../../src/shared/process-record.js';
import { sdkV1, sdkV2 } from '../../../../mcp-servers/programs.js';
import { badCommand } from '../../../../helpers/bad-mcp.js';
import { until } from '../../../../helpers/until.js';
import { deferred, within } from '../../../../helpers/processes.js';
import { HealthBook } from '../../../../../workers/agent/mcp/catalogue/health-book.js';
import type { Caller } from '../../../../../workers/agent/mcp/host/server-connection.js';
import { callOf, isAlive, makeFolder, OF, startCommands, textOf } from './command-bench.js';

const OTHER = { ...OF, session: 'session-2' };

const node = (script: string): object => ({ command: process.execPath, args: ['-e', script] });

async function gone(pid: number): Promise<void> {
  await until(`process ${pid} ends`, () => !isAlive(pid), { timeoutMs: 10_000 });
}

void t.test('each session has a process of its own, whose protocol is detected', async (t) => {
  const { commands } = startCommands(t, { servers: { two: sdkV2(), one: sdkV1(), modern: sdkV2('--modern') } });
  const mine = await commands.get(OF, 'two');
  t.equal(mine.era, 'modern');
  t.equal((await commands.get(OF, 'one')).era, 'legacy');
  t.equal((await commands.get(OF, 'modern')).era, 'modern', 'a server that knows nothing else');
  t.equal(await commands.get(OF, 'two'), mine);
  const pids = new Set([
    await textOf(mine, callOf('pid')),
    await textOf(await commands.get(OTHER, 'two'), callOf('pid')),
  ]);
  t.equal(pids.size, 2);
  t.equal(await textOf(await commands.get(OF, 'one'), callOf('echo', { text: 'a' })), 'a');
});

void t.test('callers who come while it starts share the one start', async (t) => {
  const { commands, folders } = startCommands(t, { servers: { two: sdkV2() } });
  const both = await Promise.all([commands.get(OF, 'two'), commands.get(OF, 'two')]);
  t.equal(both[0], both[1]);
  t.equal(folders().length, 1);
});

void t.test('a shared server is one process for all sessions, and comes back when it has died', async (t) => {
  const { commands } = startCommands(t, { servers: { two: { ...sdkV2(), scope: 'shared' } } });
  const pid = await textOf(await commands.get(OF, 'two'), callOf('pid'));
  t.equal(await textOf(await commands.get(OTHER, 'two'), callOf('pid')), pid);
  await commands.releaseSession(OF.session);
  t.ok(isAlive(Number(pid)), 'it is not that session’s');
  const dying = (await commands.get(OF, 'two')).callTool(callOf('exit', { code: 3 }));
  await t.rejects(dying, { code: 'ERR_MCP', message: /exited with code 3/ });
  t.not(await textOf(await commands.get(OF, 'two'), callOf('pid')), pid, 'its first end is found again at once');
  const again = (await commands.get(OF, 'two')).callTool(callOf('exit', { code: 3 }));
  await t.rejects(again, { code: 'ERR_MCP' });
  await t.rejects(commands.get(OF, 'two'), { code: 'ERR_UNAVAILABLE', message: /restarts soon/ });
});

void t.test(
  'while a shared server is paused, why it ended stays; what it printed is for whoever it ran calls of',
  async (t) => {
    const script = `
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line);
      const result = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } };
      if (method === 'initialize') console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
      else if (method === 'tools/call') { console.error('sig reason'); process.kill(process.pid, 'SIGSEGV'); }
      else if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no' } }));
    });`;
    const { commands } = startCommands(t, { servers: { dies: { ...node(script), scope: 'shared' } } });
    const book = new HealthBook(() => ['dies']);
    const call = async (caller: Caller): Promise<Error> => {
      const error: unknown = await commands.get(caller, 'dies').then(
        (connection) => connection.callTool(callOf('any')).catch((thrown: unknown) => thrown),
        (thrown: unknown) => thrown,
      );
      book.noteBad('dies', error);
      return error as Error;
    };
    const end = /ended by SIGSEGV; its stderr ends with: sig reason/;
    for (let n = 0; n < 2; n++) t.match(await call(OF), { code: 'ERR_MCP', message: end });
    t.match(await call(OF), { code: 'ERR_UNAVAILABLE', message: /restarts soon.*ended by SIGSEGV; .*sig reason/ });
    t.match(book.read()['dies']?.lastError, /^ERR_UNAVAILABLE: .*\(ended by SIGSEGV\)$/, 'everybody is told how');
    const { message } = await call({ session: 'session-2', user: 'user-2' });
    t.match(message, /restarts soon. The last time: ended by SIGSEGV$/);
  },
);

void t.test('while a shared server that cannot start is paused, everybody is told why', async (t) => {
  const script = 'console.error("no key is set"); process.exit(4)';
  const { commands } = startCommands(t, { servers: { exits: { ...node(script), scope: 'shared' } } });
  for (let n = 0; n < 2; n++) await t.rejects(commands.get(OF, 'exits'), { code: 'ERR_MCP' });
  for (const user of ['user-1', 'user-2', '']) {
    const message = /restarts soon.*ended at its start: exited with code 4; .*no key is set/;
    await t.rejects(commands.get({ ...OF, user }, 'exits'), { code: 'ERR_UNAVAILABLE', message });
  }
});

void t.test('it gets only a few harmless variables of our environment', async (t) => {
  process.env['FAIRLEAD_TEST_SECRET'] = 'secret';
  t.teardown(() => delete process.env['FAIRLEAD_TEST_SECRET']);
  const { commands, dataDir } = startCommands(t, { servers: { two: { ...sdkV2(), env: { MINE: 'yes' } } } });
  const connection = await commands.get(OF, 'two');
  const env = JSON.parse(await textOf(connection, callOf('env'))) as Record<string, string>;
  t.equal(env['MINE'], 'yes');
  t.equal(env['PATH'], process.env['PATH']);
  const allowed = ['PATH', 'HOME', 'USER', 'LANG', 'TERM', 'SHELL', 'TMPDIR', 'MINE'];
  // What tap gives to every process that a test starts is no doing of ours.
  const ofTap = /^(_?TAP|_TAPJS_|NODE_OPTIONS$|NODE_V8_COVERAGE$)/;
  t.same(
    Object.keys(env).filter((name) => !allowed.includes(name) && !ofTap.test(name)),
    [],
  );
  t.match(await textOf(connection, callOf('cwd')), join(dataDir, 'commands', '0'), 'a folder of its own');
});

void t.test('a released session’s process ends with all that it started, and its folder goes', async (t) => {
  const { commands, folders } = startCommands(t, { servers: { two: sdkV2() } });
  const connection = await commands.get(OF, 'two');
  const pids = [await textOf(connection, callOf('pid')), await textOf(connection, callOf('fork'))].map(Number);
  t.ok(pids.every(isAlive));
  t.equal(folders().length, 1);
  await commands.releaseSession(OF.session);
  for (const pid of pids) await gone(pid);
  t.same(folders(), []);
});

void t.test('one that ignores SIGTERM and the end of its input is killed', async (t) => {
  const { commands } = startCommands(t, { servers: { two: sdkV2() } });
  const connection = await commands.get(OF, 'two');
  const pid = Number(await textOf(connection, callOf('pid')));
  await textOf(connection, callOf('stubborn'));
  await commands.releaseSession(OF.session);
  t.notOk(isAlive(pid));
});

void t.test('one that dies in the middle of a call takes what it started with it, and is started again', async (t) => {
  const { commands } = startCommands(t, { servers: { two: sdkV2() } });
  const connection = await commands.get(OF, 'two');
  const child = Number(await textOf(connection, callOf('fork')));
  await t.rejects(connection.callTool(callOf('exit', { code: 7 })), { code: 'ERR_MCP', message: /code 7/ });
  await gone(child);
  t.equal(await textOf(await commands.get(OF, 'two'), callOf('echo', { text: 'b' })), 'b');
});

void t.test('a failed start says why', async (t) => {
  const servers = {
    none: { command: '/no/such/program' },
    exits: node('process.exit(4)'),
    mute: node('setInterval(() => {}, 1000)'),
    garbage: node('console.log("I am no server"); setInterval(() => {}, 1000)'),
    flood: node('for (;;) process.stdout.write("no json at all\\n".repeat(1000))'),
  };
  const { commands, folders } = startCommands(t, { servers, mcp: { requestTimeoutMs: 1_500 } });
  await t.rejects(commands.get(OF, 'none'), { code: 'ERR_MCP', message: /cannot be started.*ENOENT/ });
  await t.rejects(commands.get(OF, 'exits'), { code: 'ERR_MCP', message: /ended at its start: exited with code 4/ });
  await t.rejects(commands.get(OF, 'mute'), {
    code: 'ERR_MCP',
    message: /did not answer the handshake within 1500 ms/,
  });
  await t.rejects(commands.get(OF, 'garbage'), { code: 'ERR_MCP', message: /not MCP: I am no server/ });
  await t.rejects(commands.get(OF, 'flood'), {
    code: 'ERR_MCP',
    message: /lines that are not MCP messages|not MCP: no json/,
  });
  t.same(folders(), [], 'nothing is left of them');
});

void t.test(
  'a server that is stuck after a request of the newer protocol is started again with the older one',
  async (t) => {
    const script = `
    let stuck = false;
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line);
      stuck ||= method === 'server/discover';
      const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'stuck', version: '1' } };
      if (!stuck && id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
    });`;
    const { commands } = startCommands(t, { servers: { stuck: node(script) }, mcp: { requestTimeoutMs: 3_000 } });
    t.equal((await commands.get(OF, 'stuck')).era, 'legacy');
  },
);

void t.test('the era of the configuration is the only one that is tried', async (t) => {
  const servers = {
    legacy: { ...sdkV2(), era: 'legacy' },
    modern: { ...sdkV2(), era: 'modern' },
    wrong: { ...sdkV1(), era: 'modern' },
    reverse: { ...sdkV2('--modern'), era: 'legacy' },
  };
  const { commands } = startCommands(t, { servers });
  t.equal((await commands.get(OF, 'legacy')).era, 'legacy');
  t.equal((await commands.get(OF, 'modern')).era, 'modern');
  await t.rejects(commands.get(OF, 'wrong'), { code: 'ERR_MCP', message: /refused the handshake/ });
  await t.rejects(commands.get(OF, 'reverse'), { code: 'ERR_MCP', message: /refused the handshake/ });
});

void t.test('why a server died is told with the end of its stderr, and without its secrets', async (t) => {
  const dies = 'console.error(`fatal: no database at ${process.env.DB}`); process.exitCode = 1';
  const servers = {
    start: { ...node(dies), env: { DB: 'db://user:secret@host' } },
    silent: node('console.error("waiting for a licence"); setInterval(() => {}, 1000)'),
    call: badCommand({ 'tools/call x': 'DIE' }),
  };
  const { commands, lines } = startCommands(t, { servers, mcp: { requestTimeoutMs: 2_000 } });
  await t.rejects(commands.get(OF, 'start'), {
    code: 'ERR_MCP',
    message: /exited with code 1; its stderr ends with: fatal: no database at \[DB\]$/,
  });
  await t.rejects(commands.get(OF, 'silent'), {
    message: /within 2000 ms; its stderr ends with: waiting for a licence/,
  });
  const call = (await commands.get(OF, 'call')).callTool(callOf('x'));
  await t.rejects(call, { code: 'ERR_MCP', message: /exited with code 1; its stderr ends with: .*told to die/ });
  t.notMatch(JSON.stringify(lines), /secret/);
});

void t.test('a server that exits on the modern handshake is started again with the legacy one', async (t) => {
  const script = `
    let first = true;
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line);
      if (first && method !== 'initialize') process.exit(1);
      first = false;
      const result = method === 'initialize'
        ? { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'strict', version: '1' } }
        : { content: [{ type: 'text', text: 'strict' }] };
      if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));
    });`;
  const { commands } = startCommands(t, { servers: { strict: node(script) } });
  const connection = await commands.get(OF, 'strict');
  t.equal(connection.era, 'legacy');
  t.equal(await textOf(connection, callOf('anything')), 'strict');
});

void t.test('stray lines are skipped, and an endless line costs the call whose answer it swallows', async (t) => {
  const { commands } = startCommands(t, { servers: { one: sdkV2() } });
  const connection = await commands.get(OF, 'one');
  t.equal(await textOf(connection, callOf('print', { text: 'hello\n', times: 3 })), 'printed');
  t.equal(await textOf(connection, callOf('echo', { text: 'c' })), 'c');
  const long = connection.callTool(callOf('print', { text: 'x'.repeat(1_048_576), times: 17 }));
  await t.rejects(long, { code: 'ERR_MCP', message: /the answer was dropped: it is longer than 16777216 bytes/ });
  t.equal(await textOf(connection, callOf('echo', { text: 'd' })), 'd');
});

void t.test('one that is not used is closed, one that runs a call is not', async (t) => {
  const { commands, folders } = startCommands(t, { servers: { two: sdkV2() }, mcp: { idleMs: 300 } });
  const connection = await commands.get(OF, 'two');
  const stop = new AbortController();
  const waiting = connection.callTool(callOf('wait', {}, { signal: stop.signal }));
  const other = await commands.get(OTHER, 'two');
  const pid = Number(await textOf(other, callOf('pid')));
  await gone(pid);
  await until('its folder has gone, and not that of the one that waits', () => folders().length === 1, {
    timeoutMs: 10_000,
  });
  stop.abort();
  await t.rejects(waiting, { code: 'ERR_CANCELLED' });
  await until('it is closed', () => folders().length === 0, { timeoutMs: 10_000 });
});

void t.test('a shared server announces changed tools', async (t) => {
  const { commands } = startCommands(t, { servers: { all: { ...sdkV2(), scope: 'shared' } } });
  const changed = deferred<void>();
  commands.watch('all', () => changed.resolve());
  await textOf(await commands.get(OF, 'all'), callOf('more'));
  await within(changed.promise, 10_000, () => 'nothing was told');
  t.equal(await textOf(await commands.get(OF, 'all'), callOf('extra')), 'extra');
});

void t.test(
  'what an earlier run has left is ended when the thread starts: its own, and of threads that are no more',
  async (t) => {
    const dataDir = makeFolder(t);
    const left = async (index: number): Promise<number> => {
      const folder = join(dataDir, 'commands', String(index), 'left');
      mkdirSync(folder, { recursive: true });
      const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
      await once(child, 'spawn');
      await writeRecord(folder, child.pid ?? 0, true);
      t.teardown(() => void child.kill('SIGKILL'));
      return child.pid ?? 0;
    };
    const [mine, others, noMore] = [await left(0), await left(1), await left(7)];
    const { commands } = startCommands(t, { servers: { two: sdkV2() }, dataDir, threads: 2 });
    await commands.get(OF, 'two');
    await gone(mine);
    await gone(noMore);
    t.ok(isAlive(others), 'another thread’s is not touched');
    t.notOk(existsSync(join(dataDir, 'commands', '7', 'left')));
  },
);

void t.test('after a disconnect nothing runs and nothing is started', async (t) => {
  const { commands, folders } = startCommands(t, { servers: { two: sdkV2(), all: { ...sdkV2(), scope: 'shared' } } });
  const pids = await Promise.all(
    ['two', 'all'].map(async (name) => textOf(await commands.get(OF, name), callOf('pid'))),
  );
  await commands.disconnect();
  for (const pid of pids) t.notOk(isAlive(Number(pid)));
  t.same(folders(), []);
  await t.rejects(commands.get(OF, 'two'), { code: 'ERR_DRAINING' });
});
