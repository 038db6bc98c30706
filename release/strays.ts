/** Finds compiled files whose source is gone: tsc leaves them in dist, and a package must not ship them. */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const COMPILED = /\.js(?:\.map)?$|\.d\.ts$/;

/** Removes them from dist/FOLDER, and returns their paths below `root`. */
export async function removeStrays(root: string, folders: readonly string[]): Promise<string[]> {
  const found = await Promise.all(folders.map((folder) => findStrays(root, folder)));
  const strays = found.flat();
  for (const path of strays) await rm(join(root, path), { force: true });
  return strays;
}

async function findStrays(root: string, folder: string): Promise<string[]> {
  const names = await readdir(join(root, 'dist', folder), { recursive: true });
  return names
    .filter((name) => COMPILED.test(name) && !existsSync(join(root, folder, name.replace(COMPILED, '.ts'))))
    .map((name) => join('dist', folder, name));
}
