import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openDataDir } from '../../../src/boot/data-dir.js';
import { eachLine, watchExit, within } from '../../helpers/processes.js';

interface Teardown {
  teardown: (fn: () => Promise<void> | void) => unknown;
}

async function makeFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-data-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A second process that holds the folder; resolves with its instance once it does. */
async function holdInChild(t: Teardown, dir: string): Promise<{ instance: string; kill: () => Promise<void> }> {
  const module = new URL('../../../src/boot/data-dir.js', import.meta.url).href;
  const code = `import { openDataDir } from '${module}';
    const { instance } = await openDataDir(process.argv[1]);
    console.log(instance);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = watchExit(child);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  t.teardown(kill);
  const line = new Promise<string>((resolve) => eachLine(child.stdout, resolve));
  return { instance: await within(line, 20_000, () => 'the child holds nothing'), kill };
}

void t.test(
  'a folder that cannot be made is refused at once, also where the kernel says that its parent is missing',
  async (t) => {
    await t.rejects(openDataDir('/proc/fairlead/data'), { code: 'ERR_START', message: /set FAIRLEAD_DATA/ });
  },
);

void t.test('the folder is made, for its owner alone, and has an instance that survives restarts', async (t) => {
  const dir = join(await makeFolder(t), 'deep', 'data');
  const first = await openDataDir(dir);
  t.match(first.instance, /^[0-9a-f]{16}$/);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.equal(statSync(join(dir, 'instance')).mode & 0o777, 0o600);
  first.release();
  const second = await openDataDir(dir);
  t.teardown(() => second.release());
  t.equal(second.instance, first.instance);
});

void t.test('an existing folder keeps its mode, since somebody may share it', async (t) => {
  const dir = join(await makeFolder(t), 'data');
  mkdirSync(dir, { mode: 0o755 });
  chmodSync(dir, 0o755);
  const held = await openDataDir(dir);
  t.teardown(() => held.release());
  t.equal(statSync(dir).mode & 0o777, 0o755);
});

void t.test('a second holder is refused while the first lives, and taken when it has been killed', async (t) => {
  const dir = join(await makeFolder(t), 'data');
  const child = await holdInChild(t, dir);
  await t.rejects(openDataDir(dir), { code: 'ERR_START' });
  await t.rejects(openDataDir(dir), { code: 'ERR_START' }, 'being asked does not shake the first');
  await child.kill();
  t.ok(existsSync(join(dir, 'server.sock')), 'a killed server leaves its socket');
  const held = await openDataDir(dir);
  t.teardown(() => held.release());
  t.equal(held.instance, child.instance);
  await t.rejects(openDataDir(dir), { code: 'ERR_START' });
});

void t.test('a release leaves no socket', async (t) => {
  const dir = join(await makeFolder(t), 'data');
  (await openDataDir(dir)).release();
  t.notOk(existsSync(join(dir, 'server.sock')));
});

void t.test('a damaged instance file is refused, left as it is, and does not hold the folder', async (t) => {
  const dir = await makeFolder(t);
  const file = join(dir, 'instance');
  writeFileSync(file, 'not hex\n');
  await t.rejects(openDataDir(dir), { code: 'ERR_START' });
  t.equal(readFileSync(file, 'utf8'), 'not hex\n');
  await rm(file);
  const held = await openDataDir(dir);
  t.teardown(() => held.release());
  t.match(held.instance, /^[0-9a-f]{16}$/);
});

void t.test('a folder that cannot be made is ERR_START', async (t) => {
  const file = join(await makeFolder(t), 'file');
  writeFileSync(file, '');
  await t.rejects(openDataDir(file), { code: 'ERR_START' });
  await t.rejects(openDataDir(join(file, 'below')), { code: 'ERR_START' });
});
