/** Releases made from this checkout, as an operator gets them: what package.json ships, and the packages that it needs to run. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** The front ships a binary for each platform and Node: a release has the one that it runs. */
const OWN_BINARY = `uws_linux_${process.arch}_${process.versions.modules}.node`;

interface Manifest {
  version: string;
  [key: string]: unknown;
}

/** What npm has written down of each package: `dev` = nothing that runs needs it. */
interface Lock {
  packages: Record<string, { dev?: boolean }>;
}

/** The folder shares its packages' files with the checkout by hard links, so it costs next to nothing: write to none of them. */
export async function makeRelease(folder: string, version: string): Promise<void> {
  for (const name of [
    'dist/src',
    'dist/workers',
    'dist/image',
    'docs',
    'systemd',
    'workers/workspace',
    'fairlead.schema.json',
  ]) {
    const from = join(ROOT, name);
    await cp(from, join(folder, name), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error; // the image's bundle is there once a package has been made
    });
  }
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  await writeFile(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }));
  await linkPackages(folder);
}

/** Another release with the same packages, whose files the caller may change one by one with `patch`. */
export async function copyRelease(from: string, to: string, version: string): Promise<void> {
  await run('cp', ['-al', from, to]);
  await patch(join(to, 'package.json'), (text) => JSON.stringify({ ...(JSON.parse(text) as Manifest), version }));
}

/** Replaces the file instead of writing to it: the other releases share it. */
export async function patch(file: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(file, 'utf8');
  const changed = change(text);
  if (changed === text) throw new Error(`${file} has nothing of what was to be changed`);
  await rm(file);
  await writeFile(file, changed);
}

async function linkPackages(folder: string): Promise<void> {
  const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
  const top = Object.entries(lock.packages)
    .filter(([path, { dev = false }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev)
    .map(([path]) => path.slice('node_modules/'.length))
    .filter((name) => existsSync(join(ROOT, 'node_modules', name))); // another platform's
  for (const name of top) {
    const to = join(folder, 'node_modules', name);
    await mkdir(join(to, '..'), { recursive: true });
    await run('cp', ['-al', join(ROOT, 'node_modules', name), to]);
  }
  const front = join(folder, 'node_modules/uWebSockets.js');
  for (const name of await readdir(front)) {
    if (name.endsWith('.node') && name !== OWN_BINARY) await rm(join(front, name));
  }
}
