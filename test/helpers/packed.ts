/** Packs this checkout as `npm pack` does, for tests of what is installed. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../release/run.js';

/** The repository, seen from dist/test/helpers. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The path of the tarball that it makes in `folder`, and the paths of the files in it. */
export async function pack(folder: string): Promise<{ tarball: string; files: string[] }> {
  const [made] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: ROOT })) as {
    filename: string;
    files: { path: string }[];
  }[];
  if (made === undefined) throw new Error('npm pack made nothing');
  return { tarball: join(folder, made.filename), files: made.files.map(({ path }) => path) };
}
