/** Releases made from this checkout, as an operator gets them: what package.json ships, and the packages that it needs to run. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeBundle } from '../../src/cli/image/image-bundler.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** The front ships a binary for each platform and Node: a release has the one that it runs. */
const OWN_BINARY = `uws_linux_${process.arch}_${process.versions.modules}.node`;

/** What `npm pack` makes before it packs. */
const MADE = [
  ['man/fairlead.1', 'man'],
  ['completion/fairlead.bash', 'completion', 'bash'],
  ['completion/_fairlead', 'completion', 'zsh'],
  ['completion/fairlead.fish', 'completion', 'fish'],
] as const;

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
    'docs',
    'systemd',
    'workers/workspace',
    'fairlead.schema.json',
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
  ]) {
    const from = join(ROOT, name);
    await cp(from, join(folder, name), { recursive: true });
  }
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  await writeFile(join(folder, 'package.json'), JSON.stringify({ ...manifest, version }));
  await mkdir(join(folder, 'dist/image'));
  for (const { name, content } of await makeBundle()) await writeFile(join(folder, 'dist/image', name), content);
  for (const [file, ...args] of MADE) {
    await mkdir(dirname(join(folder, 'dist', file)), { recursive: true });
    const { stdout } = await run(process.execPath, [join(ROOT, 'dist/src/cli.js'), ...args]);
    await writeFile(join(folder, 'dist', file), stdout);
  }
  await linkPackages(folder);
}

/** Another release with the same packages, whose files the caller may change one by one with `patch`. */
export async function copyRelease(from: string, to: string, version: string): Promise<void> {
  await run('cp', ['-al', from, to]);
  await patch(join(to, 'package.json'), (text) => JSON.stringify({ ...(JSON.parse(text) as Manifest), version }));
}

/** Packs it beside itself, as a release's tarball is. Another test's hard link to a file, made meanwhile, is for tar a change of the file. */
export async function packRelease(folder: string): Promise<string> {
  const tarball = `${folder}.tar.gz`;
  const args = ['-C', dirname(folder), '--use-compress-program=gzip -1', '-cf', tarball, basename(folder)];
  await run('tar', args).catch((error: { code?: number; stderr?: string }) => {
    const said = (error.stderr ?? '').trim().split('\n');
    if (error.code !== 1 || !said.every((line) => line.endsWith('file changed as we read it'))) throw error;
  });
  return tarball;
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
