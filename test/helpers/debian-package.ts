/** Debian packages of this checkout, made as a release makes them, for a machine that has a Node of its own. Needs root and debhelper. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { makeDeb } from '../../release/deb.js';
import { prune } from '../../release/prune.js';
import { run } from '../../release/run.js';
import { ROOT } from './packed.js';
import { makeRelease, patch } from './release-folder.js';

/** Paths of the packages of two versions in `out`, which differ in nothing else: to make each of its own would take twice as long. */
export async function makePackages(out: string, one: string, two: string): Promise<[one: string, two: string]> {
  const { platform, arch, versions } = process;
  const work = await mkdtemp(join(tmpdir(), 'fl-debs-'));
  try {
    const path = join(work, `fairlead-${one}`);
    await mkdir(path);
    await makeRelease(path, one);
    await prune(join(path, 'node_modules'), { platform, arch, modules: versions.modules });
    const first = await makeDeb(ROOT, { path, version: one }, { work, out, seconds: Math.floor(Date.now() / 1_000) });
    const root = join(work, 'two');
    await run('dpkg-deb', ['--raw-extract', first, root]);
    await patch(join(root, 'DEBIAN/control'), (text) => text.replace(`Version: ${one}`, `Version: ${two}`));
    await patch(join(root, 'usr/lib/fairlead/package.json'), (text) =>
      text.replace(`"version":"${one}"`, `"version":"${two}"`),
    );
    const second = join(out, basename(first).replace(one, two));
    await run('dpkg-deb', ['--build', '--root-owner-group', '-Znone', root, second]);
    return [first, second];
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
