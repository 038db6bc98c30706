import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ConfigFile } from '../../../src/boot/config-file.js';
import { loadConfig } from '../../../src/shared/config.js';

const GOOD = JSON.stringify({ limits: { maxInFlight: 3 } });

function opened(t: Test, text: string | undefined): { dir: string; path: string; file: ConfigFile } {
  const dir = mkdtempSync(join(tmpdir(), 'fl-config-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'fairlead.json');
  if (text !== undefined) writeFileSync(path, text);
  const env = { FAIRLEAD_DATA: join(dir, 'data') };
  return { dir, path, file: new ConfigFile(loadConfig(env, dir), env, dir) };
}

t.test('the file is read again with the environment of the start', async (t) => {
  const { path, file } = opened(t, GOOD);
  t.equal((await file.read()).limits.maxInFlight, 3);
  writeFileSync(path, JSON.stringify({ model: { system: 'x ${FAIRLEAD_DATA}' } }));
  t.match((await file.read()).model.system, /^x .*data$/);
});

t.test('a file that is gone is a problem, and no reason for the defaults', async (t) => {
  const { path, file } = opened(t, GOOD);
  rmSync(path);
  await t.rejects(file.read(), { message: /ENOENT/ });
});

t.test('where there was none a file that appears is read', async (t) => {
  const { path, file } = opened(t, undefined);
  t.equal((await file.read()).limits.maxInFlight, 5);
  writeFileSync(path, GOOD);
  t.equal((await file.read()).limits.maxInFlight, 3);
});

t.test('half a file, a folder, a pipe, a device and a file without an end are named', async (t) => {
  const { path, file } = opened(t, GOOD);
  writeFileSync(path, GOOD.slice(0, 20));
  await t.rejects(file.read(), { message: /is not JSON/ });
  rmSync(path);
  mkdirSync(path);
  await t.rejects(file.read(), { message: /is not a file/ });
  rmSync(path, { recursive: true });
  execFileSync('mkfifo', [path]);
  await t.rejects(file.read(), { message: /is not a file/ });
  rmSync(path);
  writeFileSync(path, '');
  truncateSync(path, 17 * 1_048_576);
  await t.rejects(file.read(), { message: /more than/ });
});

t.test('a symbolic link in place of the file is not followed, and one of the start is', async (t) => {
  const { dir, path, file } = opened(t, GOOD);
  const other = join(dir, 'other.json');
  renameSync(path, other);
  symlinkSync(other, path);
  await t.rejects(file.read(), { message: /symbolic link/ });
  const env = { FAIRLEAD_DATA: join(dir, 'data') };
  const linked = new ConfigFile(loadConfig(env, dir), env, dir);
  t.equal((await linked.read()).limits.maxInFlight, 3);
});

t.test('a file that cannot be opened is named with the reason of the system', async (t) => {
  const { dir, path } = opened(t, GOOD);
  const other = join(dir, 'other.json');
  renameSync(path, other);
  symlinkSync(other, path);
  const env = { FAIRLEAD_DATA: join(dir, 'data') };
  const file = new ConfigFile(loadConfig(env, dir), env, dir);
  rmSync(path);
  symlinkSync(path, path);
  await t.rejects(file.read(), { message: /cannot be read \(ELOOP\)/ });
});
