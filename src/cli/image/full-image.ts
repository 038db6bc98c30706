/** What the full image has beside the small one, and its base where no registry is: Debian's packages by debootstrap. Command line's process. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type Docker from 'dockerode';
import { promisify } from 'node:util';
import { FairleadError } from '../../shared/errors.js';
import { listLibraries } from './image-rootfs.js';

/** Of Debian 12. The image tells the model of those that workers/workspace/inventory.sh names. */
export const FULL_PACKAGES = (
  'bash ca-certificates procps file less git build-essential ripgrep jq sqlite3 python3 python3-numpy python3-pandas ' +
  'python3-openpyxl python3-matplotlib python3-pypdf python3-pil pandoc poppler-utils imagemagick zip unzip xz-utils'
).split(' ');
/** In the base: the Dockerfile installs nothing. */
const THERE = 'opt/fairlead/packages';
const SUITE = 'bookworm';
const STEPS_A_LINE = 50;
const run = promisify(execFile);

export interface FullBaseOptions {
  docker: Docker;
  /** Name of the base that is made. */
  tag: string;
  /** Absent: debootstrap's. */
  mirror?: string | undefined;
  log: (line: string) => void;
}

/** Rejects with ERR_START when debootstrap is missing or fails, or this host's node needs what Debian's libraries lack. */
export async function importFullBase(options: FullBaseOptions): Promise<void> {
  const { docker, tag, log } = options;
  await hasDebootstrap();
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-full-'));
  const root = join(folder, 'root');
  try {
    log(`debootstrap: Debian ${SUITE} with ${FULL_PACKAGES.length} packages and what they need, some minutes`);
    await debootstrap(root, options);
    await addNode(root);
    await mkdir(join(root, dirname(THERE)), { recursive: true });
    await writeFile(join(root, THERE), `${FULL_PACKAGES.join('\n')}\n`);
    for (const left of await readdir(join(root, 'var/cache/apt/archives'))) {
      if (left.endsWith('.deb')) await rm(join(root, 'var/cache/apt/archives', left));
    }
    log('importing it into Docker');
    const tar = spawn('tar', ['-C', root, '--numeric-owner', '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(tar, 'close');
    const colon = tag.lastIndexOf(':');
    const progress = await docker.importImage(tar.stdout, {
      repo: tag.slice(0, colon),
      tag: tag.slice(colon + 1),
      changes: ['ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8', 'CMD ["bash"]'],
    });
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(progress, (error: Error | null) => (error ? reject(error) : resolve()));
    });
    const [code] = (await ended) as [number | null];
    if (code !== 0) throw new FairleadError('ERR_START', `tar of the full image's base ended with ${code}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function hasDebootstrap(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new FairleadError(
      'ERR_START',
      'a full local image is made by debootstrap, which needs root: sudo fairlead image --local --full',
    );
  }
  await run('debootstrap', ['--version']).catch((error: unknown) => {
    throw new FairleadError(
      'ERR_START',
      'a full local image needs debootstrap: apt-get install debootstrap (or build without --local, from a registry)',
      { cause: error },
    );
  });
}

/** Its own lines are many hundred: every fiftieth says how far it is. */
async function debootstrap(root: string, { mirror, log }: FullBaseOptions): Promise<void> {
  const args = ['--variant=minbase', `--include=${FULL_PACKAGES.join(',')}`, SUITE, root, ...(mirror ? [mirror] : [])];
  const child = spawn('debootstrap', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const counts = new Map<string, number>();
  const last: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    last.push(line);
    if (last.length > 5) last.shift();
    const step = /^I: (Retrieving|Unpacking|Configuring) /.exec(line)?.[1];
    if (step === undefined) continue;
    const count = (counts.get(step) ?? 0) + 1;
    counts.set(step, count);
    if (count % STEPS_A_LINE === 0) log(`debootstrap: ${step.toLowerCase()}, ${count} packages so far`);
  }
  const [code] = (await ended) as [number | null];
  if (code === 0) return;
  const log5 = last.map((line) => line.replace(/^[IEW]: /, '')).join('; ');
  throw new FairleadError(
    'ERR_START',
    `debootstrap ended with ${code} (${log5}): it needs a mirror of Debian that this machine reaches; name one with --mirror URL`,
  );
}

/** This host's node, and those of its libraries that Debian's packages have not brought. */
async function addNode(root: string): Promise<void> {
  const node = await realpath(process.execPath);
  await mkdir(join(root, 'usr/local/bin'), { recursive: true });
  await copyFile(node, join(root, 'usr/local/bin/node'));
  for (const library of await listLibraries(node)) {
    if (await isThere(join(root, library))) continue;
    await mkdir(dirname(join(root, library)), { recursive: true });
    await copyFile(await realpath(library), join(root, library));
  }
  await run('chroot', [root, '/usr/local/bin/node', '--version']).catch((error: unknown) => {
    throw new FairleadError(
      'ERR_START',
      `this host's node does not run on Debian ${SUITE}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  });
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
