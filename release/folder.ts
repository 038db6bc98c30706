/** Makes the folder of a release: what `npm pack` ships, the packages that it runs, and a Node. It needs nothing else to run. */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bringNode } from './node-program.js';
import { prune } from './prune.js';
import { run } from './run.js';

export interface ReleaseFolder {
  path: string;
  version: string;
}

/** `root` is the repository, `work` an empty folder. Rejects when the addons were compiled for another Node than the one inside. */
export async function makeReleaseFolder(
  root: string,
  work: string,
  log: (line: string) => void,
): Promise<ReleaseFolder> {
  log('npm pack');
  const packed = await run('npm', ['pack', '--json', '--pack-destination', work], { cwd: root });
  const [made] = JSON.parse(packed) as { filename: string; version: string }[];
  if (made === undefined) throw new Error('npm pack made nothing');
  const { filename, version } = made;
  const path = join(work, `fairlead-${version}`);
  await mkdir(join(path, 'node'), { recursive: true });
  await run('tar', ['-xzf', join(work, filename), '--strip-components=1', '--no-same-owner', '-C', path]);

  log('npm ci --omit=dev');
  await copyFile(join(root, 'package-lock.json'), join(path, 'package-lock.json'));
  await run('npm', ['ci', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: path });
  await rm(join(path, 'package-lock.json'));

  log('bring Node');
  const { platform, arch, versions } = process;
  const modules = await bringNode(join(path, 'node'), work, arch);
  if (modules !== versions.modules) {
    throw new Error(
      `the addons are compiled for this Node (${process.version}, ABI ${versions.modules}), and the release's has ABI ${modules}: run it with that one`,
    );
  }
  log('prune');
  await prune(join(path, 'node_modules'), { platform, arch, modules });
  // Node loads them and nobody runs them: some packages ship all of their files as programs.
  await run('find', [join(path, 'node_modules'), '-type', 'f', '-exec', 'chmod', 'a-x', '{}', '+']);
  // By these sums an installation sees that a release is whole.
  const sums = 'find . -type f -not -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS';
  await run('sh', ['-c', sums], { cwd: path });
  // Everybody may read it, and its owner alone may write.
  await run('chmod', ['-R', 'u+rwX,go=rX', path]);
  return { path, version };
}
