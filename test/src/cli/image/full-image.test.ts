import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { docker } from '../../../helpers/docker.js';
import { FULL_PACKAGES, importFullBase } from '../../../../src/cli/image/full-image.js';

const FOLDER = new URL('../../../../../workers/workspace/', import.meta.url);
const run = promisify(execFile);

/** Programs of these names print what is given, and end so. */
async function programs(t: Test, of: Record<string, string>): Promise<string> {
  const bin = t.testdir();
  for (const [name, script] of Object.entries(of)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  }
  return bin;
}

t.test('the inventory tells the model in two lines what an image has, and not what it lacks', async (t) => {
  const versions = `case "$*" in *" git") echo 1:2.39.5-0+deb12u2;; *" python3") echo 3.11.2-1+b1;; *" python3-numpy") echo 1:1.24.2-1;; *) exit 1;; esac`;
  const path = `${await programs(t, { 'dpkg-query': versions })}:${dirname(process.execPath)}:/usr/bin:/bin`;
  const { stdout } = await run('sh', [new URL('inventory.sh', FOLDER).pathname], { env: { PATH: path } });
  const [first, second, ...more] = stdout.trimEnd().split('\n');
  t.match(first, /^Installed: Python 3\.11 with numpy 1\.24, Node \d+\.\d+, git 2\.39\.$/);
  t.match(second, /^There is no network/);
  t.same(more, []);
});

t.test('what the model is told of is what is installed', async (t) => {
  const script = await readFile(new URL('inventory.sh', FOLDER), 'utf8');
  const named = [...script.matchAll(/^add .* (\S+)$/gm), ...script.matchAll(/[a-z]+:(python3-[a-z]+)/g)].map(
    ([, name]) => name,
  );
  t.ok(named.length > 12);
  // gcc comes with build-essential.
  t.same(
    named.filter((name) => name !== 'gcc' && !FULL_PACKAGES.includes(name!)),
    [],
  );
});

t.test('without debootstrap, and when it fails, the error says what to do', async (t) => {
  const before = process.env['PATH'];
  t.teardown(() => void (process.env['PATH'] = before));
  const log: string[] = [];
  const build = (): Promise<void> => importFullBase({ docker: docker(), tag: 'base:x', log: (line) => log.push(line) });
  process.env['PATH'] = t.testdir();
  const isRoot = process.getuid?.() === 0;
  await t.rejects(build(), { code: 'ERR_START', message: isRoot ? /apt-get install debootstrap/ : /needs root/ });
  if (!isRoot) return;
  const script = `[ "$1" = --version ] && exit 0\nfor i in $(seq 60); do echo "I: Retrieving p$i 1"; done\necho "E: Failed getting release file"\nexit 1`;
  process.env['PATH'] = `${await programs(t, { debootstrap: script })}:/usr/bin:/bin`;
  await t.rejects(build(), { code: 'ERR_START', message: /ended with 1 .*Failed getting release file.*--mirror/ });
  t.match(log.at(-1), 'debootstrap: retrieving, 50 packages so far', 'it says how far it is');
});
