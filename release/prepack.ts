/**
 * Runs before `npm pack` makes the tarball: puts the bundle of the sandbox image into dist/image, since a package has no esbuild, the
 * manual page into dist/man and the scripts of shells into dist/completion, and removes what an older checkout compiled and the sources no longer have.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BUNDLE_FOLDER } from '../src/cli/image/image-bundle.js';
import { makeBundle } from '../src/cli/image/image-bundler.js';
import { removeStrays } from './strays.js';

/** The repository, seen from dist/release. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

await removeStrays(ROOT, ['src', 'workers']);
await mkdir(BUNDLE_FOLDER, { recursive: true });
for (const { name, content } of await makeBundle()) await writeFile(new URL(name, BUNDLE_FOLDER), content);

const CLI = join(ROOT, 'dist/src/cli.js');
const run = promisify(execFile);
for (const [file, ...args] of [
  ['man/fairlead.1', 'man'],
  ['completion/fairlead.bash', 'completion', 'bash'],
  ['completion/_fairlead', 'completion', 'zsh'],
  ['completion/fairlead.fish', 'completion', 'fish'],
] as const) {
  const path = join(ROOT, 'dist', file);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, (await run(process.execPath, [CLI, ...args])).stdout);
}
