/**
 * `npm run release [-- --out FOLDER --deb]`: makes fairlead-VERSION-linux-ARCH.tar.gz, which runs on a machine without a network, a Node or a
 * compiler, a Debian package of the same, and SHA256SUMS beside them.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeDeb } from './deb.js';
import { makeReleaseFolder } from './folder.js';
import { run } from './run.js';

/** The repository, seen from dist/release. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const USAGE = `Makes what an operator installs: a tarball with its packages and a Node, and SHA256SUMS.

Usage: npm run release [-- --out FOLDER] [--deb]

  --out FOLDER   where to (default: .out-release)
  --deb          a Debian package, too: needs debhelper`;

const log = (line: string): void => console.log(`# ${line}`);

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(ROOT, '.out-release') },
    deb: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
});
if (values.help === true) console.log(USAGE);
else await makeRelease(resolve(values.out), values.deb);

async function makeRelease(out: string, deb: boolean): Promise<void> {
  if (process.platform !== 'linux') throw new Error('a release is made on Linux, for Linux');
  await mkdir(out, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'fl-release-'));
  const seconds = await timeOfFiles();
  process.env['SOURCE_DATE_EPOCH'] = String(seconds); // the manual page has its day
  try {
    const { path, version } = await makeReleaseFolder(ROOT, work, log);
    // It says its own version, or it is no release.
    const said = await run(join(path, 'node/bin/node'), [join(path, 'dist/src/cli.js'), '--version'], { cwd: work });
    if (said.trim() !== version) throw new Error(`the release says that it is ${said.trim()}, and not ${version}`);
    log(`${basename(path)}: ${await megabytes(path)} MB`);
    const files = [await makeTarball(path, join(out, `fairlead-${version}-linux-${process.arch}.tar.gz`), seconds)];
    if (deb) {
      log('dpkg-buildpackage');
      files.push(await makeDeb(ROOT, { path, version }, { work, out, seconds }));
    }
    const sums = await Promise.all(files.map(async (file) => `${await sha256(file)}  ${basename(file)}\n`));
    await writeFile(join(out, 'SHA256SUMS'), sums.join(''));
    for (const file of files) log(`${file}: ${Math.round((await stat(file)).size / 1e6)} MB`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Equal files make an equal release: SOURCE_DATE_EPOCH, or the time of the last commit. */
async function timeOfFiles(): Promise<number> {
  return Number(process.env['SOURCE_DATE_EPOCH'] ?? (await run('git', ['log', '-1', '--format=%ct'], { cwd: ROOT })));
}

/** Sorted, and all of it root's. */
async function makeTarball(folder: string, file: string, seconds: number): Promise<string> {
  const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${seconds}`];
  const tar = ['-C', dirname(folder), ...same, '--use-compress-program=gzip -9n', '-cf', file, basename(folder)];
  await run('tar', tar);
  return file;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Of the files' bytes, without what a file system adds. */
async function megabytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return Math.round((await Promise.all(sizes)).reduce((sum, size) => sum + size, 0) / 1e6);
}
