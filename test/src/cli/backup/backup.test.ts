import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { verifyLog } from '../../../../src/audit/verify.js';
import { openDataDir, UNFINISHED_RESTORE } from '../../../../src/boot/data-dir.js';
import { startSilentServer } from '../../../helpers/silent-server.js';
import { mountSmallDisk } from '../../../helpers/small-disk.js';
import { appears, contents, fairlead, historyOf, makeData, restoreHere, start, tarOf, tempDir } from './backup-kit.js';

t.setTimeout(600_000);

const MADE = {
  version: '0.2.0',
  createdAt: '2026-11-30T00:00:00.000Z',
  instance: '',
  store: 'none',
  withSecrets: false,
};
const HEAD = { name: 'fairlead-backup.json', text: JSON.stringify({ format: 1, ...MADE }) };
const NO_ENTRIES = { name: 'manifest.json', text: '{"entries":[]}' };

async function makeBackup(t: Test, ...flags: string[]) {
  const { dataDir, session } = await makeData(t);
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file, ...flags]), { code: 0, stderr: '' });
  return { dataDir, session, file };
}

/** Of the folder of `file`: all that is there, whatever its name. */
const beside = (file: string): string[] => readdirSync(join(file, '..'));
const asides = (dataDir: string): string[] => readdirSync(dataDir).filter((name) => name.startsWith('before-restore-'));

t.test('a backup of a data folder restores all of it into an empty one, for its account alone', async (t) => {
  const { dataDir, session, file } = await makeBackup(t);
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.same(beside(file), ['b.tar.gz'], 'nothing else is left');
  t.match(await fairlead(dataDir, ['backup', 'verify', file]), { code: 0, stdout: /is whole: .*the embedded store/ });
  const empty = join(tempDir(t), 'new');
  t.match(await fairlead(empty, ['restore', file]), { code: 0, stdout: /is as it was at 20/ });
  const before = contents(dataDir);
  const { 'store/data.mdb': store, ...after } = contents(empty);
  t.ok(store);
  const left = ['store/data.mdb', 'store/lock.mdb', 'token', 'browser-key', 'leases/fl-2~new', 'tools/cache'];
  left.push(`workspaces/${session}~workspace.tar.lz4.tmp`);
  t.same(after, Object.fromEntries(Object.entries(before).filter(([name]) => !left.includes(name))));
  t.match(await historyOf(empty, session), /remember me/);
  t.equal((await verifyLog(empty)).break, undefined, 'the audit log is whole, and its end is proven');
  t.equal(statSync(empty).mode & 0o777, 0o700);
  t.equal(statSync(join(empty, 'instance')).mode & 0o777, 0o600);
  const data = await openDataDir(empty);
  t.equal(data.instance, '0123456789abcdef');
  data.release();
});

t.test('keys are in it only with --with-secrets, and so is the environment file', async (t) => {
  const { dataDir } = await makeData(t);
  const folder = tempDir(t);
  const [env, config] = [join(folder, 'fairlead.env'), join(folder, 'fairlead.json')];
  writeFileSync(config, '{"auth":{"mode":"none"}}');
  writeFileSync(env, `FAIRLEAD_CONFIG=${config}\nFAIRLEAD_DATA=${dataDir}\nANTHROPIC_API_KEY=sk-very-secret\n`);
  for (const [name, flags] of [
    ['plain.tar.gz', []],
    ['keys.tar.gz', ['--with-secrets']],
  ] as const) {
    const file = join(folder, name);
    t.match(await fairlead('/nowhere', ['backup', file, '--env-file', env, ...flags]), { code: 0 });
    const text = gunzipSync(readFileSync(file)).toString('latin1');
    t.match(text, '"mode":"none"', 'the configuration');
    for (const secret of ['sk-very-secret', 'flt_secret', 'a key']) {
      t.equal(text.includes(secret), name === 'keys.tar.gz', secret);
    }
  }
  const empty = join(folder, 'new');
  t.match(await fairlead(empty, ['restore', join(folder, 'keys.tar.gz')]), { code: 0 });
  t.equal(readFileSync(join(empty, 'token'), 'utf8'), 'flt_secret\n');
});

t.test('a folder gets a file that is named after the time, and a name that is taken needs --force', async (t) => {
  const { dataDir } = await makeData(t);
  const folder = tempDir(t);
  t.match(await fairlead(dataDir, ['backup', folder]), { code: 0 });
  const [name = ''] = readdirSync(folder);
  t.match(name, /^fairlead-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.tar\.gz$/);
  const before = readFileSync(join(folder, name));
  t.match(await fairlead(dataDir, ['backup', join(folder, name)]), { code: 1, stderr: /is there already/ });
  t.same(readFileSync(join(folder, name)), before);
  t.match(await fairlead(dataDir, ['backup', '--force', join(folder, name)]), { code: 0 });
});

t.test('of two backups to one name at once one is made, and the other says so', async (t) => {
  const { dataDir } = await makeData(t);
  const folder = tempDir(t);
  const file = join(folder, 'x.tar.gz');
  const ended = await Promise.all([fairlead(dataDir, ['backup', file]), fairlead(dataDir, ['backup', file])]);
  const refused = ended.filter(({ code }) => code !== 0);
  t.match(refused, [
    { code: 1, stderr: /(is there already|was made by another meanwhile): name another, or add --force/ },
  ]);
  t.same(readdirSync(folder), ['x.tar.gz'], 'nothing is left of it');
  t.match(await fairlead(dataDir, ['backup', 'verify', file]), { code: 0 });
  t.match(await fairlead(dataDir, ['backup', join(folder, 'none', 'x')]), {
    code: 1,
    stderr: /there is no folder .*none/,
  });
});

t.test('a restore over a running server is refused, and changes nothing', async (t) => {
  const { dataDir, file } = await makeBackup(t);
  const data = await openDataDir(dataDir);
  t.teardown(() => data.release());
  t.match(await fairlead(dataDir, ['backup', join(tempDir(t), 'running.tar.gz')]), { code: 0 }, 'a backup is not');
  const before = contents(dataDir);
  const refused = await fairlead(dataDir, ['restore', '--force', file]);
  t.match(refused, { code: 1, stderr: /a server uses .*: stop it first/ });
  t.same(contents(dataDir), before);
});

t.test('a folder with data needs --force, and what was there is moved aside, never deleted', async (t) => {
  const { file, session } = await makeBackup(t);
  const { dataDir, session: other } = await makeData(t);
  const before = contents(dataDir);
  t.match(await fairlead(dataDir, ['restore', file]), { code: 1, stderr: /has data already/ });
  t.same(contents(dataDir), before);
  t.match(await fairlead(dataDir, ['restore', '--force', file]), { code: 0, stdout: /What was there is in / });
  t.match(await historyOf(dataDir, session), /remember me/);
  const [aside = ''] = asides(dataDir);
  const { token, 'browser-key': key, ...moved } = before;
  t.same(contents(join(dataDir, aside)), moved, 'all but the keys, which the backup does not have');
  t.same([token, key], [contents(dataDir)['token'], contents(dataDir)['browser-key']], 'those stay');
  t.match(await historyOf(join(dataDir, aside), other), /remember me/);
  t.match(await fairlead(dataDir, ['restore', '--force', '--no-store', file]), { code: 0 });
  t.match(await historyOf(dataDir, session), /remember me/, 'the store stays where it is told to');
});

t.test('what is restored belongs to the account of the data folder', async (t) => {
  const { file } = await makeBackup(t);
  const dataDir = join(tempDir(t), 'data');
  mkdirSync(dataDir, { mode: 0o700 });
  chownSync(dataDir, 65_534, 65_533);
  t.match(await fairlead(dataDir, ['restore', file]), { code: 0 });
  for (const name of readdirSync(dataDir, { recursive: true }) as string[]) {
    const { uid, gid } = statSync(join(dataDir, name));
    t.same([name, uid, gid], [name, 65_534, 65_533]);
  }
});

t.test('the audit log is taken up to its last whole line, since a server may be writing the next', async (t) => {
  const { dataDir } = await makeData(t);
  const [log = ''] = readdirSync(join(dataDir, 'audit'));
  const whole = readFileSync(join(dataDir, 'audit', log), 'utf8');
  appendFileSync(join(dataDir, 'audit', log), '{"n":6,"at":"2026-11-30T');
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file]), { code: 0 });
  const empty = join(tempDir(t), 'new');
  t.match(await restoreHere(empty, file), { code: 0 });
  t.equal(readFileSync(join(empty, 'audit', log), 'utf8'), whole);
  t.same((await verifyLog(empty)).break, undefined);
});

t.test('a backup by root leaves nothing in the data folder that its server could not open', async (t) => {
  const { dataDir } = await makeData(t);
  rmSync(join(dataDir, 'store/lock.mdb'), { force: true });
  for (const name of ['.', ...(readdirSync(dataDir, { recursive: true }) as string[])]) {
    chownSync(join(dataDir, name), 65_534, 65_533);
  }
  t.match(await fairlead(dataDir, ['backup', join(tempDir(t), 'b.tar.gz')]), { code: 0 });
  for (const name of readdirSync(dataDir, { recursive: true }) as string[]) {
    const { uid, gid } = statSync(join(dataDir, name));
    t.same([name, uid, gid], [name, 65_534, 65_533]);
  }
  t.ok(existsSync(join(dataDir, 'store/lock.mdb')));
});

t.test('a file that is not as it was written is refused with the entry, and nothing is restored', async (t) => {
  const { file, dataDir } = await makeBackup(t);
  const empty = join(tempDir(t), 'new');
  const bytes = readFileSync(file);
  const tar = gunzipSync(bytes);
  const at = tar.indexOf('an archive');
  t.ok(at > 0);
  tar.write('AN ARCHIVE', at, 'latin1');
  const write = (text: Buffer): string => {
    const path = join(tempDir(t), 'bad.tar.gz');
    writeFileSync(path, text);
    return path;
  };
  const changed = write(gzipSync(tar));
  const refused = { code: 1, stderr: /damaged: data\/workspaces\/.*~workspace\.tar\.lz4 is not as it was written/ };
  t.match(await restoreHere(empty, changed), refused);
  t.match(await fairlead(empty, ['backup', 'verify', changed]), refused);
  const flipped = Buffer.from(bytes);
  flipped[flipped.length >> 1]! ^= 0xff;
  t.match(await restoreHere(empty, write(flipped)), {
    code: 1,
    stderr: /is damaged: .*(in or after|not as it was)/,
  });
  for (const part of [0.3, 0.9]) {
    const half = write(bytes.subarray(0, Math.floor(bytes.length * part)));
    t.match(await restoreHere(empty, half), { code: 1, stderr: /is damaged: .*cut off/ });
  }
  const end = tar.indexOf('manifest.json');
  const unproven = write(gzipSync(tar.subarray(0, end)));
  t.match(await restoreHere(empty, unproven), { code: 1, stderr: /its manifest is missing/ });
  t.match(await restoreHere(empty, write(Buffer.alloc(0))), { code: 1, stderr: /is no backup/ });
  t.match(await restoreHere(empty, write(Buffer.from('hello'))), { code: 1, stderr: /is no backup/ });
  t.match(await restoreHere(empty, join(empty, 'not-there')), { code: 1, stderr: /ENOENT/ });
  t.notOk(existsSync(empty), 'the folder that was made for it is gone again');
  t.equal(readdirSync(dataDir).length > 0, true);
});

t.test('a foreign tar, a path that leads elsewhere, a link and a newer release are refused', async (t) => {
  const folder = tempDir(t);
  const empty = join(folder, 'new');
  const file = join(folder, 'x.tar.gz');
  const restored = async (...entries: Parameters<typeof tarOf>) => {
    writeFileSync(file, await tarOf(...entries));
    return restoreHere(empty, file);
  };
  t.match(await restored({ name: 'etc/passwd', text: 'x' }), { code: 1, stderr: /is no backup of Fairlead/ });
  for (const name of ['data/../../../evil', '/etc/evil', 'data/workspaces/../../evil', 'data/other']) {
    const refused = await restored(HEAD, { name, text: 'x' }, NO_ENTRIES);
    t.match(refused, { code: 1, stderr: /is nothing that a backup has/ }, name);
  }
  for (const type of ['symlink', 'link', 'directory', 'fifo', 'character-device'] as const) {
    const refused = await restored(HEAD, { name: 'data/instance', type, linkname: '/etc/passwd' }, NO_ENTRIES);
    t.match(refused, { code: 1, stderr: /data\/instance.* is no file/ }, type);
  }
  const twice = { name: 'data/instance', text: 'x' };
  t.match(await restored(HEAD, twice, twice, NO_ENTRIES), { code: 1, stderr: /is there twice/ });
  t.match(await restored(HEAD, NO_ENTRIES, twice), { code: 1, stderr: /behind the manifest/ });
  t.match(await restored(HEAD, twice, NO_ENTRIES), { code: 1, stderr: /data\/instance is not in its manifest/ });
  for (const newer of [{ format: 2 }, { version: '99.0.0' }]) {
    const head = { ...HEAD, text: JSON.stringify({ format: 1, ...MADE, ...newer }) };
    t.match(await restored(head, NO_ENTRIES), { code: 1, stderr: /install that release first/ });
  }
  t.notOk(existsSync(empty));
  t.match(await restored(HEAD, NO_ENTRIES), { code: 0 }, 'the nearest one that is right');
});

t.test('a disk that fills in the middle of a backup leaves no file, and says what is needed', async (t) => {
  const { dataDir } = await makeData(t);
  writeFileSync(join(dataDir, 'workspaces/large~workspace.tar.lz4'), randomBytes(8 * 1_048_576));
  const disk = mountSmallDisk(4_096);
  t.teardown(() => disk.remove());
  const file = join(disk.dir, 'b.tar.gz');
  writeFileSync(file, 'the last one');
  const refused = await fairlead(dataDir, ['backup', '--force', file]);
  t.match(refused, { code: 1, stderr: /the disk of .* is full: the backup needs up to \d+ MiB there/ });
  t.same(readdirSync(disk.dir), ['b.tar.gz']);
  t.equal(readFileSync(file, 'utf8'), 'the last one', 'what had the name is as it was');
  disk.fill(8_192);
  t.match(
    await fairlead(dataDir, ['backup', '--force', file]),
    { code: 1, stderr: /is full/ },
    'also for the store’s copy',
  );
  t.same(readdirSync(disk.dir).sort(), ['b.tar.gz', 'filler']);
});

t.test('a restore without room for all of it begins with nothing', async (t) => {
  const { dataDir } = await makeData(t);
  writeFileSync(join(dataDir, 'workspaces/large~workspace.tar.lz4'), Buffer.alloc(8 * 1_048_576));
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file]), { code: 0 });
  const disk = mountSmallDisk(4_096);
  t.teardown(() => disk.remove());
  const target = join(disk.dir, 'data');
  t.match(await fairlead(target, ['restore', file]), {
    code: 1,
    stderr: /too little room: the restore needs \d+ MiB, and/,
  });
  t.same(readdirSync(disk.dir), []);
});

t.test('a backup that is killed leaves no file of that name, and the next one removes what it left', async (t) => {
  const { dataDir } = await makeData(t);
  const folder = tempDir(t);
  const file = join(folder, 'b.tar.gz');
  const redis = await startSilentServer(); // which holds it in the middle
  t.teardown(() => redis.close());
  const run = start(dataDir, ['backup', file], { REDIS_URL: redis.host.replace('tcp:', 'redis:') });
  await redis.received(/./, 1);
  run.kill();
  t.match(await run.ended, { signal: 'SIGKILL' });
  const left = readdirSync(folder);
  t.ok(left.length === 1 && left[0]?.endsWith('.unfinished'), left.join(' '));
  const ofStore = join(folder, '.b.tar.gz.0123abcd.unfinished');
  mkdirSync(ofStore);
  writeFileSync(join(ofStore, 'data.mdb'), 'a copy of the store');
  t.match(await fairlead(dataDir, ['backup', file]), { code: 0 });
  t.same(readdirSync(folder).length, 3, 'what may be of one that runs stays');
  const old = new Date(Date.now() - 7_200_000);
  for (const path of [join(folder, left[0] ?? ''), join(ofStore, 'data.mdb'), ofStore]) utimesSync(path, old, old);
  t.match(await fairlead(dataDir, ['backup', '--force', file]), { code: 0 });
  t.same(readdirSync(folder), ['b.tar.gz']);
});

t.test('a restore that is killed while it unpacks has changed nothing, and can be run again', async (t) => {
  const { dataDir } = await makeData(t);
  writeFileSync(join(dataDir, 'workspaces/large~workspace.tar.lz4'), randomBytes(64 * 1_048_576));
  const file = join(tempDir(t), 'b.tar.gz');
  t.match(await fairlead(dataDir, ['backup', file]), { code: 0 });
  // It is ended as soon as it has begun; on a loaded machine that may come too late.
  for (let tries = 1; tries <= 10; tries++) {
    const target = await makeData(t);
    const before = contents(target.dataDir);
    const staged = appears(target.dataDir, '.restoring');
    const run = start(target.dataDir, ['restore', '--force', file]);
    await Promise.race([staged, run.ended]);
    run.kill();
    if ((await run.ended).signal === null) continue;
    const after = Object.entries(contents(target.dataDir)).filter(([name]) => !name.startsWith('.restoring'));
    t.same(Object.fromEntries(after), before);
    (await openDataDir(target.dataDir)).release();
    t.match(await fairlead(target.dataDir, ['restore', '--force', file]), { code: 0 });
    t.notOk(existsSync(join(target.dataDir, '.restoring')));
    t.ok(existsSync(join(target.dataDir, 'workspaces/large~workspace.tar.lz4')));
    return;
  }
  t.fail('it was never killed in time');
});

t.test('a folder whose restore was cut off starts no server, and takes the next restore without --force', async (t) => {
  const { file, session } = await makeBackup(t);
  const { dataDir } = await makeData(t);
  writeFileSync(join(dataDir, UNFINISHED_RESTORE), file);
  await t.rejects(openDataDir(dataDir), { code: 'ERR_START', message: /a restore of .* was cut off: run it again/ });
  t.match(await fairlead(dataDir, ['backup', join(tempDir(t), 'x')]), { code: 1, stderr: /was cut off/ });
  const bad = join(tempDir(t), 'half.tar.gz');
  writeFileSync(bad, readFileSync(file));
  truncateSync(bad, 1_000);
  t.match(await fairlead(dataDir, ['restore', bad]), { code: 1 });
  t.ok(existsSync(join(dataDir, UNFINISHED_RESTORE)), 'one that fails leaves the note');
  t.match(await fairlead(dataDir, ['restore', file]), { code: 0 });
  t.equal(asides(dataDir).length, 1);
  t.match(await historyOf(dataDir, session), /remember me/);
  (await openDataDir(dataDir)).release();
});
