/** What is to be installed: a folder, a tarball, or a release that is there already. Command line's process. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { FairleadError } from '../../shared/errors.js';
import type { Layout } from './layout.js';

const run = promisify(execFile);
const LIST_MS = 120_000;
const MAX_LIST_BYTES = 64 * 1024 * 1024;
/** A version is a folder's name below /opt. */
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$/;

const NODE = 'node/bin/node';
/** In a release: the sums of its files. */
export const MANIFEST = 'SHA256SUMS';
/** In an installed release: the digest of what it was made of. */
export const ORIGIN = '.origin';

export interface Source {
  kind: 'folder' | 'tarball' | 'installed';
  path: string;
  version: string;
  /** Without them `npm install` fetches them, which needs a network. */
  hasDependencies: boolean;
  /** It brings a Node, for which its addons were compiled. */
  hasNode: boolean;
  /** Of the tarball, or of the folder's files; '' for a release that is there already. */
  digest: string;
}

/** ERR_START when it is no release. */
export async function findSource(given: string, layout: Layout): Promise<Source> {
  const path = resolve(given);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return folder(path, layout);
  if (stat?.isFile()) return tarball(path);
  if (VERSION.test(given) && existsSync(join(layout.releases, given))) {
    return installed(layout, given);
  }
  throw new FairleadError('ERR_START', `${given} is no file, no folder, and no release in ${layout.releases}`);
}

/** One file's text. ERR_START when the release has none of that name: it is older than this command. */
export async function readFrom({ kind, path }: Source, name: string): Promise<string> {
  try {
    if (kind !== 'tarball') return readFileSync(join(path, name), 'utf8');
    const args = ['-xzOf', path, '--wildcards', '--no-wildcards-match-slash', `*/${name}`];
    return (await run('tar', args, { timeout: LIST_MS })).stdout;
  } catch (error) {
    throw notOurs(path, `it has no ${name}`, error);
  }
}

function installed(layout: Layout, version: string): Source {
  const path = join(layout.releases, version);
  return { kind: 'installed', path, version, hasDependencies: true, hasNode: true, digest: '' };
}

function folder(path: string, layout: Layout): Source {
  const manifest = join(path, 'package.json');
  if (!existsSync(manifest)) throw notOurs(path, 'it has no package.json');
  const version = versionOf(readFileSync(manifest, 'utf8'), path);
  // A checkout has every tool of its developers beside what runs.
  if (existsSync(join(path, 'tsconfig.json')))
    throw notOurs(path, 'it is a checkout: `npm run release` makes one of it');
  if (!existsSync(join(path, 'dist/src/cli.js'))) throw notOurs(path, 'it has no dist/src/cli.js');
  const there = join(layout.releases, version);
  if (existsSync(there) && realpathSync(there) === realpathSync(path)) return installed(layout, version);
  return {
    kind: 'folder',
    path,
    version,
    hasDependencies: existsSync(join(path, 'node_modules')),
    hasNode: existsSync(join(path, NODE)),
    digest: digestOfFolder(path),
  };
}

async function tarball(path: string): Promise<Source> {
  // The first folder of a path is the tarball's own: `package` of npm, `fairlead-VERSION` of a release.
  const tar = (args: string[]) =>
    run('tar', args, { timeout: LIST_MS, maxBuffer: MAX_LIST_BYTES }).then(
      ({ stdout }) => stdout,
      (error: unknown) => {
        throw notOurs(path, `tar cannot read it (${String((error as Error).message.split('\n').at(-1))})`, error);
      },
    );
  const names = (await tar(['-tzf', path])).split('\n').map((name) => name.replace(/^\.\//, ''));
  const manifest = names.find((name) => /^[^/]+\/package\.json$/.test(name));
  if (manifest === undefined) throw notOurs(path, 'it has no package.json');
  const top = manifest.slice(0, manifest.indexOf('/') + 1);
  if (!names.includes(`${top}dist/src/cli.js`)) throw notOurs(path, 'it has no dist/src/cli.js');
  const version = versionOf(
    await tar(['-xzOf', path, '--wildcards', '--no-wildcards-match-slash', '*/package.json']),
    path,
  );
  return {
    kind: 'tarball',
    path,
    version,
    hasNode: names.includes(`${top}${NODE}`),
    hasDependencies: names.some((name) => name.startsWith(`${top}node_modules/`)),
    digest: await digestOfFile(path),
  };
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Of the sums of its files, or of their names, sizes and times. */
function digestOfFolder(path: string): string {
  const hash = createHash('sha256');
  const sums = join(path, MANIFEST);
  if (existsSync(sums)) return hash.update(readFileSync(sums)).digest('hex');
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.toSorted()) {
    const { size, mtimeMs } = lstatSync(file);
    hash.update(`${relative(path, file)}\0${size}\0${mtimeMs}\0`);
  }
  return hash.digest('hex');
}

function versionOf(manifest: string, path: string): string {
  let parsed: { name?: unknown; version?: unknown };
  try {
    parsed = JSON.parse(manifest) as typeof parsed;
  } catch (error) {
    throw notOurs(path, 'its package.json is damaged', error);
  }
  if (parsed.name !== 'fairlead') throw notOurs(path, `its package.json says ${JSON.stringify(parsed.name)}`);
  if (typeof parsed.version !== 'string' || !VERSION.test(parsed.version)) throw notOurs(path, 'it has no version');
  return parsed.version;
}

function notOurs(path: string, why: string, cause?: unknown): FairleadError {
  return new FairleadError('ERR_START', `${path} is no release of Fairlead: ${why}`, { cause });
}
