import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { layoutAt } from '../../../../src/cli/service/layout.js';
import { findSource, readFrom } from '../../../../src/cli/service/source.js';

const run = promisify(execFile);

async function files(t: Test, named: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-source-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(named)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

const manifest = (values: object): string => JSON.stringify({ name: 'fairlead', version: '1.2.3', ...values });
const RELEASE = { 'p/package.json': manifest({}), 'p/dist/src/cli.js': '', 'p/systemd/fairlead.service': '[Unit]' };

async function tarball(folder: string): Promise<string> {
  const file = join(folder, 'x.tgz');
  await run('tar', ['-czf', file, '-C', folder, 'p']);
  return file;
}

t.test('a tarball and a folder are releases, with or without their packages', async (t) => {
  const other = { 'p/node_modules/a/package.json': '{"version":"9"}', 'p/node/bin/node': '' };
  const folder = await files(t, { ...RELEASE, ...other });
  const file = await tarball(folder);
  const layout = layoutAt(folder);
  t.match(await findSource(file, layout), { kind: 'tarball', version: '1.2.3', hasDependencies: true });
  t.match(await findSource(file, layout), { hasNode: true });
  t.match(await findSource(join(folder, 'p'), layout), { kind: 'folder', version: '1.2.3', hasDependencies: true });
  const bare = await files(t, RELEASE);
  t.match(await findSource(await tarball(bare), layout), { hasDependencies: false, hasNode: false });
  for (const given of [file, join(folder, 'p')]) {
    t.equal(await readFrom(await findSource(given, layout), 'systemd/fairlead.service'), '[Unit]');
  }
});

t.test(
  'a tarball is known by its bytes, a folder by its sums or its files, and an installed one is no new one',
  async (t) => {
    const folder = await files(t, RELEASE);
    const layout = layoutAt(folder);
    const digestOf = async (given: string): Promise<string> => (await findSource(given, layout)).digest;
    const file = await tarball(folder);
    const [first, of] = [await digestOf(file), await digestOf(join(folder, 'p'))];
    t.match(first, /^[0-9a-f]{64}$/);
    t.equal(await digestOf(file), first);
    t.equal(await digestOf(join(folder, 'p')), of);
    await writeFile(join(folder, 'p/dist/src/cli.js'), 'another build');
    t.not(await digestOf(join(folder, 'p')), of);
    t.not(await digestOf(await tarball(folder)), first);
    const release = { 'package.json': manifest({}), 'dist/src/cli.js': '', SHA256SUMS: 'sums' };
    const there = await files(
      t,
      Object.fromEntries(Object.entries(release).map(([name, text]) => [`opt/fairlead/releases/1.2.3/${name}`, text])),
    );
    const path = join(there, 'opt/fairlead/releases/1.2.3');
    t.match(await findSource(path, layoutAt(there)), { kind: 'installed', version: '1.2.3', path });
    t.match(await findSource(path, layout), { kind: 'folder', digest: /^[0-9a-f]{64}$/ }, 'of another installation');
  },
);

t.test('a version names a release that is there', async (t) => {
  const folder = await files(t, { 'opt/fairlead/releases/1.0.0/package.json': manifest({}) });
  const layout = layoutAt(folder);
  t.match(await findSource('1.0.0', layout), { kind: 'installed', version: '1.0.0' });
  await t.rejects(findSource('2.0.0', layout), { code: 'ERR_START', message: /no release in/ });
  await t.rejects(findSource('..', layoutAt(folder)), { code: 'ERR_START' });
});

t.test('what is no release is refused with the reason', async (t) => {
  const cases: [Record<string, string>, RegExp][] = [
    [{ 'p/README.md': '' }, /no package\.json/],
    [{ ...RELEASE, 'p/package.json': '{' }, /damaged/],
    [{ ...RELEASE, 'p/package.json': manifest({ name: 'other' }) }, /says "other"/],
    [{ ...RELEASE, 'p/package.json': manifest({ version: '../../etc' }) }, /no version/],
    [{ 'p/package.json': manifest({}) }, /no dist\/src\/cli\.js/],
  ];
  for (const [named, message] of cases) {
    const folder = await files(t, named);
    const layout = layoutAt(folder);
    await t.rejects(findSource(await tarball(folder), layout), { code: 'ERR_START', message });
    await t.rejects(findSource(join(folder, 'p'), layout), { code: 'ERR_START', message });
  }
  const cut = await files(t, { 'x.tgz': 'no tarball' });
  await t.rejects(findSource(join(cut, 'x.tgz'), layoutAt(cut)), { message: /tar cannot read it/ });
  const checkout = await files(t, { ...RELEASE, 'p/tsconfig.json': '{}' });
  await t.rejects(findSource(join(checkout, 'p'), layoutAt(checkout)), { message: /npm run release/ });
});
