/**
 * Runs before `npm pack` makes the tarball: puts the bundle of the sandbox image into dist/image, since a package has no esbuild, and
 * removes what an older checkout compiled and the sources no longer have.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { BUNDLE_FOLDER } from '../src/cli/image/image-bundle.js';
import { makeBundle } from '../src/cli/image/image-bundler.js';
import { removeStrays } from './strays.js';

/** The repository, seen from dist/release. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

await removeStrays(ROOT, ['src', 'workers']);
await mkdir(BUNDLE_FOLDER, { recursive: true });
for (const { name, content } of await makeBundle()) await writeFile(new URL(name, BUNDLE_FOLDER), content);
