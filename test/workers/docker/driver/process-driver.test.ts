import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { createLog } from '../../../../src/shared/log.js';
import { ProcessDriver } from '../../../../workers/docker/driver/process-driver.js';
import { recordOf } from '../../../../src/shared/process-record.js';
import type { StartRequest } from '../../../../workers/docker/driver/driver.js';

const log = createLog('test', 'silent');

/** Starts a child that would outlive it and that holds a connection to the test, tells its environment, then echoes. */
const ENTRY = `
import { spawn } from 'node:child_process';
const hold = 'require("node:net").connect(Number(process.env.HOLD))';
spawn(process.execPath, ['-e', hold], { stdio: 'ignore' });
process.stdout.write(JSON.stringify({ env: process.env, cwd: process.cwd() }) + '\\n');
process.stdin.pipe(process.stdout);
`;

async function open(t: Test, instance: string = randomUUID()) {
  const folder = await mkdtemp(join(tmpdir(), 'fl-process-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const entry = join(folder, 'entry.mjs');
  await writeFile(entry, ENTRY);
  const server = createServer();
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const config = parseConfig({}, { FAIRLEAD_DATA: join(folder, 'data') });
  return {
    driver: (name = instance): ProcessDriver => new ProcessDriver(config, name, log, entry),
    root: join(folder, 'data', 'sandboxes'),
    env: { HOLD: String((server.address() as AddressInfo).port) },
    /** The connection of the next sandbox's child: `dead` resolves when that child has died. */
    nextChild: async (): Promise<{ dead: Promise<unknown> }> => {
      const [socket] = (await once(server, 'connection')) as [Socket];
      socket.on('error', () => undefined); // killed: a reset is as good as an end
      socket.resume();
      return { dead: new Promise((resolve) => socket.once('close', resolve)) };
    },
  };
}

function requestOf(changes: Partial<StartRequest> = {}): StartRequest {
  return {
    name: `fairlead-test-${randomUUID()}`,
    server: 'workspace',
    image: 'fairlead/workspace',
    env: {},
    signal: new AbortController().signal,
    ...changes,
  };
}

interface Told {
  env: Record<string, string>;
  cwd: string;
}

async function told(sandbox: { stdout: NodeJS.ReadableStream }): Promise<Told> {
  const [line] = (await once(sandbox.stdout, 'data')) as [Buffer];
  return JSON.parse(line.toString()) as Told;
}

t.test(
  'runs in a private folder with a small environment; destroyed, its children and its folder are gone',
  async (t) => {
    process.env['FAIRLEAD_TEST_SECRET'] = 'must-not-be-seen';
    t.teardown(() => delete process.env['FAIRLEAD_TEST_SECRET']);
    const { driver, env: extra, nextChild } = await open(t);
    const started = nextChild();
    const sandbox = await driver().start(requestOf({ env: extra }));
    t.teardown(() => sandbox.destroy());
    const { env, cwd } = await told(sandbox);
    // What the test runner itself puts into every child of a test is not the driver's doing.
    const names = Object.keys(env).filter((name) => !/^_TAPJS_|^NODE_OPTIONS$/.test(name));
    t.same(names.toSorted(), ['FAIRLEAD_WORKSPACE', 'HOLD', 'HOME', 'LANG', 'PATH']);
    t.equal(env['HOME'], cwd);
    t.equal(env['FAIRLEAD_WORKSPACE'], cwd);
    t.equal((await stat(cwd)).mode & 0o777, 0o700);
    const child = await started;
    sandbox.stdin.write('hello\n');
    const [data] = (await once(sandbox.stdout, 'data')) as [Buffer];
    t.equal(data.toString(), 'hello\n');
    await Promise.all([sandbox.destroy(), sandbox.destroy()]);
    t.equal(existsSync(cwd), false);
    await child.dead;
    t.match(await sandbox.exited, { code: null, reason: /SIGKILL/ });
  },
);

t.test('one that ends by itself takes what it started with it', async (t) => {
  const { driver, env, nextChild } = await open(t);
  const started = nextChild();
  const sandbox = await driver().start(requestOf({ env }));
  t.teardown(() => sandbox.destroy());
  const child = await started;
  process.kill(Number(sandbox.id.replace('process:', '')), 'SIGTERM');
  t.match(await sandbox.exited, { reason: /SIGTERM/ });
  await child.dead;
});

t.test('all output of a program is there, however soon it ends', async (t) => {
  const { driver, env } = await open(t);
  const sandbox = await driver().start(requestOf({ env }));
  t.teardown(() => sandbox.destroy());
  const { signal } = new AbortController();
  for (let n = 0; n < 30; n++) {
    const program = await sandbox.exec(['sh', '-c', `echo ${n}; echo e${n} >&2`], signal);
    const errors: Buffer[] = [];
    program.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    t.equal(await text(program.stdout), `${n}\n`);
    t.equal(await program.exited, 0);
    t.equal(Buffer.concat(errors).toString(), `e${n}\n`);
  }
});

t.test('a server of another image needs Docker', async (t) => {
  const { driver, root } = await open(t);
  await t.rejects(driver().resolveImage('someone/else', 'other'), { code: 'ERR_SANDBOX' });
  t.equal(await driver().resolveImage('fairlead/workspace', 'workspace'), 'fairlead/workspace');
  t.equal(existsSync(root), false);
});

t.test('a start that its caller has given up leaves no folder', async (t) => {
  const { driver, root } = await open(t);
  const controller = new AbortController();
  const starting = driver('one').start(requestOf({ signal: controller.signal }));
  controller.abort(new Error('given up'));
  await t.rejects(starting, { message: 'given up' });
  t.same(existsSync(join(root, 'one')) ? await readdir(join(root, 'one')) : [], []);
});

t.test('a sweep ends what an earlier run left, and neither what is known nor another instance’s', async (t) => {
  const { driver, root, env, nextChild } = await open(t, 'mine');
  const known = requestOf({ env });
  const started = nextChild();
  const left = await driver().start(requestOf({ env }));
  const child = await started;
  const held = await driver().start(known);
  const foreign = await driver('theirs').start(requestOf({ env }));
  t.teardown(() => Promise.all([left, held, foreign].map((sandbox) => sandbox.destroy())));
  await mkdir(join(root, 'mine', 'half-made'), { recursive: true });
  t.equal(await driver().removeUnknown((name) => name === known.name), 2);
  await left.exited;
  await child.dead;
  t.same(await readdir(join(root, 'mine')), [known.name]);
  await told(held);
  held.stdin.write('alive');
  const [data] = (await once(held.stdout, 'data')) as [Buffer];
  t.equal(data.toString(), 'alive');
  t.equal((await readdir(join(root, 'theirs'))).length, 1);
});

t.test('a recorded pid that now belongs to another process is left alone', async (t) => {
  const { driver, root } = await open(t, 'mine');
  const innocent = spawn('cat', { detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => innocent.kill('SIGKILL'));
  await once(innocent, 'spawn');
  const folder = join(root, 'mine', 'fairlead-old');
  await mkdir(folder, { recursive: true });
  const record = await recordOf(innocent.pid ?? 0);
  await writeFile(join(folder, 'process.json'), JSON.stringify({ ...record, started: '1' }));
  t.equal(await driver().removeUnknown(() => false), 1);
  innocent.stdin.write('alive');
  const [data] = (await once(innocent.stdout, 'data')) as [Buffer];
  t.equal(data.toString(), 'alive');
  t.equal(existsSync(folder), false);
});

t.test('a sweep of an instance that never ran finds nothing', async (t) => {
  const { driver } = await open(t);
  t.equal(await driver().removeUnknown(() => false), 0);
});
