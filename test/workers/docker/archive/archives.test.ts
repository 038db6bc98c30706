import { execFile } from 'node:child_process';
import { readdir, readFile, stat, symlink, utimes, watch, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { ProcessDriver } from '../../../../workers/docker/driver/process-driver.js';
import { docker, WORKSPACE_IMAGE } from '../../../helpers/docker.js';
import { folderFor, instead, log, open, SAVED_BY_0_2_0, SESSION, sh, start, watched } from './archives-kit.js';

const run = promisify(execFile);

const FILL = `umask 022
mkdir private 'a folder' empty read-only read-only/inner open set-group
echo 1 > private/x; chmod 0600 private/x; chmod 0700 private
echo 2 > read-only/inner/y; ln read-only/inner/y read-only/hard; ln -s /etc/passwd read-only/absolute
chmod 0444 read-only/inner/y; chmod 0500 read-only/inner
echo 3 > open/w; chmod 0666 open/w; chmod 1777 open
echo 4 > set-group/z; chmod 2775 set-group; chmod 6755 set-group/z
ln -s nowhere dangling; ln -s ../../up up; ln -s private/x link
echo 5 > one; ln one two
: > nothing
echo 6 > "$(printf 'line\\nbreak')"; echo 7 > ./-dash; echo 8 > "quo'te\\"s"; echo 9 > 'ünï 文 😀'; echo 10 > ' spaces  '
echo 11 > "$(printf 'n%.0s' $(seq 200))"
deep=.; for i in $(seq 60); do deep=$deep/folder-number-$i; done; mkdir -p $deep; echo 12 > $deep/bottom
dd if=/dev/zero of=sparse bs=1 count=1 seek=20000000 2>/dev/null
mkfifo fifo
touch -d '2020-02-03 04:05:06' one 'a folder' nothing; chmod 0555 read-only; touch -d '2019-02-03 04:05:06' read-only set-group`;
/** Mode, owner, links, size, time in seconds and name of all (busybox leaves a symlink's time out); then the content. */
const LIST = `find . ! -type l -exec stat -c '%f %h %s %Y %N' {} + | sort
find . -type l -exec stat -c '%f %N' {} + | sort
  find . ! -user "$(id -u)" -o ! -group "$(id -g)"
find . -type f -exec md5sum {} + | sort
[ one -ef two ] && [ read-only/inner/y -ef read-only/hard ] && echo linked`;

t.test('all that a workspace holds comes back as it was, with busybox tar in Docker', async (t) => {
  const { folder, archives } = await open(t);
  const first = await start(t);
  await sh(first, FILL);
  const before = await sh(first, LIST);
  t.match(before, /linked\n$/);
  const began = Date.now();
  const { bytes, savedAt, files, skipped } = await archives.save(SESSION, 'workspace', first);
  const saved = { savedAt, files, skipped };
  t.ok(saved.savedAt >= began && saved.savedAt <= Date.now());
  t.same(saved.skipped, { count: 0, paths: [] });
  t.equal(await sh(first, LIST), before, 'saving changes nothing');
  const path = join(folder, `${SESSION}~workspace.tar.lz4`);
  const file = await stat(path);
  t.equal(file.size, bytes);
  t.equal(file.mode & 0o777, 0o600);
  t.equal((await stat(folder)).mode & 0o777, 0o700);
  t.same(await readdir(folder), [`${SESSION}~workspace.tar.lz4`]);
  await run('lz4', ['-t', path]);
  const second = await start(t);
  t.same(await archives.newest(SESSION, 'workspace'), saved);
  t.same(await archives.restore(SESSION, 'workspace', second), saved);
  t.equal(await sh(second, LIST), before);
  t.same(await archives.newest(SESSION, 'workspace'), saved, 'it stays, until the next save');
});

t.test('an archive of 0.2.0, which has no metadata, comes back; its time is that of its file', async (t) => {
  const { folder, archives } = await open(t);
  const path = join(folder, `${SESSION}~workspace.tar.lz4`);
  await writeFile(path, SAVED_BY_0_2_0);
  const at = new Date('2026-11-20T10:00:00Z');
  await utimes(path, at, at);
  const saved = { savedAt: at.getTime(), files: 2, skipped: { count: 0, paths: [] } };
  t.same(await archives.newest(SESSION, 'workspace'), saved);
  const sandbox = await start(t);
  t.same(await archives.restore(SESSION, 'workspace', sandbox), saved);
  t.equal(await sh(sandbox, 'cat notes.txt kept/more.txt'), 'remember me\nand this\n');
});

t.test('the same with the host’s own tar in the process driver', async (t) => {
  const home = await folderFor(t);
  const entry = join(home, 'entry.mjs');
  await writeFile(entry, 'process.stdin.resume();');
  const config = parseConfig({}, { FAIRLEAD_DATA: join(home, 'data') });
  const processes = new ProcessDriver(config, 'archives', log, entry);
  const [first, second] = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const { signal } = new AbortController();
      const sandbox = await processes.start({ name, server: 's', image: WORKSPACE_IMAGE, env: {}, signal });
      t.teardown(() => sandbox.destroy());
      return sandbox;
    }),
  );
  if (!first || !second) throw new Error('two were started');
  const { archives } = await open(t);
  await sh(first, FILL);
  // Sizes of folders are the file system's own affair.
  const list = `find . ! -type d -exec stat -c '%f %u %g %h %s %Y %N' {} + | sort; find . -type d -exec stat -c '%f %u %Y %N' {} + | sort
find . -type f -exec md5sum {} + | sort`;
  const before = await sh(first, list);
  await archives.save(SESSION, 's', first);
  await archives.restore(SESSION, 's', second);
  t.equal(await sh(second, list), before);
});

t.test('an empty workspace leaves no file, and takes an older one away', async (t) => {
  const { folder, archives } = await open(t);
  const sandbox = await start(t);
  t.match(await archives.save(SESSION, 'workspace', sandbox), { bytes: 0, files: 0, savedAt: Number });
  t.equal(await archives.newest(SESSION, 'workspace'), undefined);
  await sh(sandbox, 'mkdir only-a-folder');
  t.ok((await archives.save(SESSION, 'workspace', sandbox)).bytes > 0);
  t.ok(archives.has(SESSION, 'workspace'));
  await sh(sandbox, 'rmdir only-a-folder');
  t.match(await archives.save(SESSION, 'workspace', sandbox), { bytes: 0, files: 0 });
  t.notOk(archives.has(SESSION, 'workspace'));
  t.same(await readdir(folder), []);
  t.equal(await archives.restore(SESSION, 'workspace', sandbox), undefined);
});

t.test('a container that was restarted is empty, and takes no older archive away', async (t) => {
  const { folder, archives } = await open(t);
  const first = await start(t);
  await sh(first, 'echo kept > file');
  const saved = await archives.save(SESSION, 'workspace', first);
  await docker().getContainer(first.id).restart({ t: 0 });
  t.equal(await sh(first, 'ls'), '', 'a save would find nothing, and say so');
  await t.rejects(archives.save(SESSION, 'workspace', first), {
    code: 'ERR_SANDBOX',
    message: 'its container was restarted',
  });
  t.match(await archives.newest(SESSION, 'workspace'), { savedAt: saved.savedAt, files: 1 });
  t.same(await readdir(folder), [`${SESSION}~workspace.tar.lz4`]);
  await docker().getContainer(first.id).kill();
  await t.rejects(archives.save(SESSION, 'workspace', first), { code: 'ERR_SANDBOX' });
  await docker().getContainer(first.id).remove({ force: true });
  await t.rejects(archives.save(SESSION, 'workspace', first), { code: 'ERR_SANDBOX' });
  t.equal((await archives.newest(SESSION, 'workspace'))?.files, 1);
});

t.test('a broken archive is refused, kept aside, and nothing of it reaches the sandbox', async (t) => {
  const { folder, archives: writer } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'head -c 300000 /dev/urandom > noise; echo text > file; sleep 0');
  await writer.save(SESSION, 'workspace', sandbox);
  await sh(sandbox, 'rm noise file');
  const name = `${SESSION}~workspace.tar.lz4`;
  const good = await readFile(join(folder, name));
  const flips = [
    0,
    5,
    40,
    70_000,
    good.length - 69,
    good.length - 60,
    good.length - 40,
    good.length - 33,
    good.length - 1,
  ];
  const flipped = flips.map((at): [string, Buffer] => {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    return [`byte ${at} flipped`, bytes];
  });
  const cuts = [0, 1, 68, 69, 65_536, good.length - 68, good.length - 1].map((length): [string, Buffer] => [
    `cut to ${length} bytes`,
    good.subarray(0, length),
  ]);
  const others: [string, Buffer][] = [
    ['a part missing in the middle', Buffer.concat([good.subarray(0, 1_000), good.subarray(2_000)])],
    ['bytes behind it', Buffer.concat([good, Buffer.from('x')])],
    ['garbage', Buffer.alloc(5_000, 'garbage')],
  ];
  let broken = 0;
  for (const [what, bytes] of [...flipped, ...cuts, ...others]) {
    await writeFile(join(folder, name), bytes);
    const { archives } = await open(t, { folder });
    t.ok(archives.has(SESSION, 'workspace'));
    const message = new RegExp(`workspace.*${name}\\.broken-${++broken}; the next call starts with an empty workspace`);
    await t.rejects(archives.restore(SESSION, 'workspace', sandbox), { code: 'ERR_SANDBOX', message }, what);
    t.notOk(archives.has(SESSION, 'workspace'));
    t.same(await archives.sessions(), [SESSION]);
    t.same(await readFile(join(folder, `${name}.broken-${broken}`)), bytes);
  }
  t.equal(await sh(sandbox, 'ls -A'), '');
  const { archives } = await open(t, { folder });
  await Promise.all([archives.forget(SESSION), archives.forget(SESSION)]);
  t.same(await readdir(folder), []);
  t.same(await archives.sessions(), []);
});

t.test('on a full disk, without tar, when it stalls: an error, and the older archive stays', async (t) => {
  const { folder, archives } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'echo older > file');
  await archives.save(SESSION, 'workspace', sandbox);
  const name = `${SESSION}~workspace.tar.lz4`;
  const older = await readFile(join(folder, name));

  await symlink('/dev/full', join(folder, `${name}.tmp`));
  await t.rejects(archives.save(SESSION, 'workspace', sandbox), { code: 'ERR_SANDBOX', message: /disk .* is full/ });

  const { archives: impatient } = await open(t, { folder, stallMs: 300 });
  for (const script of ['sleep 600', `echo "$1 end"; head -c 100000 /dev/zero; sleep 600`]) {
    const stalled = instead(sandbox, ['sh', '-c', script]);
    await t.rejects(impatient.save(SESSION, 'workspace', stalled), {
      code: 'ERR_SANDBOX',
      message: /sent nothing for 300 ms/,
    });
  }

  const bare = instead(sandbox, ['no-such-program']);
  await t.rejects(archives.save(SESSION, 'workspace', bare), { code: 'ERR_SANDBOX', message: /needs sh and tar/ });
  await t.rejects(archives.restore(SESSION, 'workspace', bare), { code: 'ERR_SANDBOX', message: /needs sh and tar/ });

  t.same(await readdir(folder), [name]);
  t.same(await readFile(join(folder, name)), older);
  t.equal(await sh(sandbox, 'cat file; ls'), 'older\nfile\n', 'the sandbox goes on');
});

t.test('a save that is cut leaves neither file nor program', async (t) => {
  const { folder, archives } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'head -c 100000000 /dev/urandom > large');
  const controller = new AbortController();
  const stop = new AbortController();
  const changes = watch(folder, { signal: stop.signal })[Symbol.asyncIterator]();
  const change = changes.next();
  const saving = archives.save(SESSION, 'workspace', sandbox, { signal: controller.signal });
  saving.catch(() => undefined);
  await change;
  controller.abort(new Error('not now'));
  await t.rejects(saving, { message: 'not now' });
  stop.abort();
  t.same(await readdir(folder), []);
  t.notOk(archives.has(SESSION, 'workspace'));
  t.ok((await archives.save(SESSION, 'workspace', sandbox)).bytes > 100_000_000, 'the next one works');
});

t.test('a restore that is cut, or whose sandbox dies, keeps the archive for the next try', async (t) => {
  const { archives } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'head -c 30000000 /dev/urandom > large; echo x > small');
  const sums = await sh(sandbox, 'md5sum large small');
  await archives.save(SESSION, 'workspace', sandbox);
  await sandbox.destroy();

  const cut = await start(t);
  const controller = new AbortController();
  const cutting = watched(cut, ({ stdin }) => stdin.once('drain', () => controller.abort(new Error('not now'))));
  await t.rejects(archives.restore(SESSION, 'workspace', cutting, controller.signal), { message: 'not now' });
  t.ok(archives.has(SESSION, 'workspace'));
  await cut.destroy();

  const dying = await start(t);
  const killing = watched(dying, ({ stdin }) => stdin.once('drain', () => void dying.destroy()));
  await t.rejects(archives.restore(SESSION, 'workspace', killing), { code: /^ERR_(SANDBOX|UNAVAILABLE)$/ });
  t.ok(archives.has(SESSION, 'workspace'));
  await t.rejects(
    archives.restore(SESSION, 'workspace', dying),
    { code: /^ERR_(SANDBOX|UNAVAILABLE)$/ },
    'gone before',
  );
  t.ok(archives.has(SESSION, 'workspace'));

  const full = await start(t);
  await sh(full, 'head -c 520000000 /dev/zero > filler');
  await t.rejects(archives.restore(SESSION, 'workspace', full), {
    code: 'ERR_SANDBOX',
    message: /kept for the next try/,
  });
  t.ok(archives.has(SESSION, 'workspace'));
  await full.destroy();

  const fresh = await start(t);
  t.match(await archives.restore(SESSION, 'workspace', fresh), { files: 2 });
  t.equal(await sh(fresh, 'md5sum large small'), sums);
});

t.test('one that takes too long is ERR_SANDBOX', async (t) => {
  const { folder, archives } = await open(t, { timeoutMs: 1 });
  const sandbox = await start(t);
  await t.rejects(archives.save(SESSION, 'workspace', sandbox), { code: 'ERR_SANDBOX', message: /longer than 1 ms/ });
  t.same(await readdir(folder), []);
});

t.test('what comes at once for the same server runs one after the other; a forget cuts it and wins', async (t) => {
  const { folder, archives } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'head -c 5000000 /dev/urandom > noise');
  const fresh = await start(t);
  const [one, two, back] = await Promise.all([
    archives.save(SESSION, 'workspace', sandbox),
    archives.save(SESSION, 'workspace', sandbox),
    archives.restore(SESSION, 'workspace', fresh),
  ]);
  t.same([one.files, two.files, back?.files], [1, 1, 1]);
  t.same(await readdir(folder), [`${SESSION}~workspace.tar.lz4`]);
  const cut = [archives.save(SESSION, 'workspace', sandbox), archives.save(SESSION, 'workspace', sandbox)];
  const forgetting = Promise.all([archives.forget(SESSION), archives.forget(SESSION)]);
  for (const saving of cut) await t.rejects(saving, { code: 'ERR_CANCELLED' });
  await forgetting;
  t.same(await readdir(folder), []);
  t.same(await archives.sessions(), []);
});

t.test('what a sandbox sends in place of a tar is not saved', async (t) => {
  const { folder, archives } = await open(t);
  const sandbox = await start(t);
  await sh(sandbox, 'echo x > x');
  const scripts = [
    'head -c 100000 /dev/urandom',
    'tar -cf - . | head -c 1024',
    'tar -cf - . | head -c 700',
    ':',
    'head -c 600 /dev/zero',
    '(tar -cf - . | head -c 1536; tar -cf - .)',
  ];
  for (const script of scripts) {
    const lying = instead(sandbox, ['sh', '-c', `echo "$1 end"; ${script}`]);
    if (script.startsWith('('))
      t.ok((await archives.save(SESSION, 'workspace', lying)).files > 0, 'one after the other');
    else
      await t.rejects(
        archives.save(SESSION, 'workspace', lying),
        { code: 'ERR_SANDBOX', message: /the tar: / },
        script,
      );
  }
  await archives.forget(SESSION);
  t.same(await readdir(folder), []);
});
