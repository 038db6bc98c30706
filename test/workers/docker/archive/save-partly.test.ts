/** What a save cannot read or could not put back: saved all the same where that is possible, else left out and named. */
import t, { type Test } from 'tap';
import type { Logger } from '../../../../src/shared/log.js';
import type { SaveResult } from '../../../../workers/docker/archive/save.js';
import type { RunningSandbox } from '../../../../workers/docker/driver/driver.js';
import { log, open, SESSION, sh, start } from './archives-kit.js';

const MIB = 1_048_576;
const LIMITS = { maxBytes: 128 * MIB, workspaceBytes: 64 * MIB };
const LIST = `find . ! -type l -exec stat -c '%f %h %s %Y %n' {} + | sort; find . -type f -exec md5sum {} + | sort`;

/** Saves and puts back into a fresh sandbox. */
async function there(t: Test, sandbox: RunningSandbox): Promise<SaveResult & { fresh: RunningSandbox }> {
  const { archives } = await open(t, LIMITS);
  const saved = await archives.save(SESSION, 'workspace', sandbox);
  const fresh = await start(t);
  t.match(await archives.restore(SESSION, 'workspace', fresh), { skipped: saved.skipped });
  return { ...saved, fresh };
}

t.test('files and folders that their owner closed are saved whole, and stay closed on both sides', async (t) => {
  const sandbox = await start(t);
  await sh(
    sandbox,
    `echo 1 > closed; mkdir -p a/b/c full/of; echo 2 > a/b/c/deep; echo 3 > full/of/files; echo 4 > $(printf 'new\\nline')
     echo 5 > w; chmod 200 w; chmod 0 closed new* a/b/c/deep full/of/files
     touch -d '2020-02-03 04:05:06' a/b/c a/b a full
     chmod 0 a/b/c a/b a; chmod 300 full/of; chmod 444 full`,
  );
  const look = `find . -exec stat -c '%a %Y %n' {} + 2>/dev/null | sort; chmod 755 a full; find . -exec stat -c '%a %Y %n' {} + 2>/dev/null | sort
     chmod 755 a/b full/of; chmod -R u+rwX .; ${LIST}`;
  const { fresh, skipped, files } = await there(t, sandbox);
  t.same([skipped, files], [{ count: 0, paths: [] }, 5]);
  const before = await sh(sandbox, look);
  t.match(before, /^0 \d+ \.\/a\/b$/m);
  t.equal(await sh(fresh, look), before);
});

t.test('closed folders are no trouble that the log has to tell', async (t) => {
  const sandbox = await start(t);
  await sh(sandbox, 'mkdir -p a/b; chmod 0 a/b a');
  const warned: unknown[][] = [];
  const warn = (...told: unknown[]): unknown => warned.push(told);
  const { archives } = await open(t, { ...LIMITS, log: Object.assign(Object.create(log) as Logger, { warn }) });
  await archives.save(SESSION, 'workspace', sandbox);
  const fresh = await start(t);
  await archives.restore(SESSION, 'workspace', fresh);
  t.equal(await sh(fresh, 'stat -c %a a; chmod 700 a; stat -c %a a/b'), '0\n0\n');
  t.same(warned, []);
});

t.test('a workspace that is closed itself is saved', async (t) => {
  const sandbox = await start(t);
  await sh(sandbox, 'echo 1 > one; chmod 0 .');
  const { fresh, files } = await there(t, sandbox);
  t.equal(files, 1);
  t.equal(await sh(fresh, 'stat -c %a /workspace; chmod 700 /workspace; cat /workspace/one'), '0\n1\n');
});

t.test('holes stay holes: files larger than the workspace come back, byte for byte', async (t) => {
  const sandbox = await start(t);
  await sh(
    sandbox,
    `truncate -s 70M empty; truncate -s 30000001 tail; printf end | dd of=tail bs=1 seek=29999999 conv=notrunc 2>/dev/null
     truncate -s 9M "$(printf 'li\\nne %%s \\\\ é')"; for at in 0 100 101 2000; do head -c 5000 /dev/urandom | dd of="$(echo li*)" bs=4096 seek=$at conv=notrunc 2>/dev/null; done
     ln tail linked; truncate -s 5M read-only; chmod 0444 read-only; head -c 3000000 /dev/urandom > full
     touch -d '2020-02-03 04:05:06' empty tail li*; mkdir sub; truncate -s 1M sub/z; touch -d '2019-02-03 04:05:06' sub`,
  );
  const { fresh, skipped } = await there(t, sandbox);
  t.same(skipped, { count: 0, paths: [] });
  t.equal(await sh(fresh, LIST), await sh(sandbox, LIST));
  t.equal(await sh(fresh, '[ tail -ef linked ] && echo linked'), 'linked\n');
  const blocks = Number((await sh(fresh, 'du -sk . | cut -f1')).trim());
  t.ok(blocks < 4_000, `${blocks} KiB`);
});

t.test('what could not be put back is left out, with links to it, and named; the rest is saved', async (t) => {
  const sandbox = await start(t);
  await sh(
    sandbox,
    `echo 1 > one; truncate -s 300M huge; ln huge huge-too; truncate -s 100M first; truncate -s 100M second
     i=0; while [ $i -lt 30 ]; do mkdir -p deep/$(printf 'n%.0s' $(seq 200)); cd deep/n*; i=$((i+1)); done 2>/dev/null; echo 2 > bottom`,
  );
  const { fresh, skipped } = await there(t, sandbox);
  const named = new Map(skipped.paths.map(({ path, reason }) => [path, reason]));
  t.match(named.get('huge'), /larger than 128 MB|link to a file that is left out/);
  t.match(named.get('huge-too'), /larger than 128 MB|link to a file that is left out/);
  t.match(named.get('first') ?? named.get('second'), /the save is full/);
  const deep = [...named].find(([path]) => path.startsWith('deep/'));
  t.match(deep?.[1], /longer than 3800 bytes/);
  t.ok((deep?.[0].length ?? 0) < 400, 'long paths are cut');
  t.equal(skipped.count, named.size);
  t.match(await sh(fresh, 'cat one; ls'), /^1\ndeep\n(first\none|one\nsecond)\n$/);
  t.equal(await sh(sandbox, 'stat -c %a huge'), '644\n', 'the sandbox is as it was');
});

t.test('3,000 folders in each other are saved down to the 512th, and named', async (t) => {
  const sandbox = await start(t);
  await sh(sandbox, 'echo 1 > one; i=0; while [ $i -lt 3000 ]; do mkdir d; cd d; i=$((i+1)); done; echo 2 > bottom');
  const { fresh, skipped, files } = await there(t, sandbox);
  t.same(skipped.paths.map(({ reason }) => reason).sort(), [
    'it is deeper than 512 folders',
    'what is in it has paths longer than 3800 bytes',
  ]);
  t.equal(files, 1);
  t.equal(await sh(fresh, 'cat one; find . -type d | wc -l | tr -d " "'), '1\n513\n');
});

t.test('pipes come back, and a socket, which has no content, is no loss', async (t) => {
  const sandbox = await start(t);
  await sh(
    sandbox,
    `mkfifo pipe; node -e "require('net').createServer().listen('socket', () => process.kill(process.pid, 9))" || true`,
  );
  const { fresh, skipped } = await there(t, sandbox);
  t.same(skipped, { count: 0, paths: [] });
  t.equal(await sh(fresh, 'ls; test -p pipe && echo pipe'), 'pipe\npipe\n');
});

t.test('a sandbox at its limit of processes is saved', async (t) => {
  const sandbox = await start(t);
  await sh(sandbox, `echo 1 > one; (while :; do sleep 1000 & done) > /dev/null 2>&1 < /dev/null & sleep 3`);
  const { archives } = await open(t, LIMITS);
  t.match(await archives.save(SESSION, 'workspace', sandbox), { files: 1 });
});
