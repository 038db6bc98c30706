/** Packages that a bench or a trial compares with and nothing else needs: installed when they are wanted, pinned, in a cache folder outside the repository. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { eachLine, Tail, watchExit } from './processes.js';

const INSTALL_MS = 600_000;

export interface OnDemand {
  /** `{ name: exact version }`. */
  packages: Record<string, string>;
  /** Those whose install scripts run; nobody's otherwise. */
  scripts?: boolean;
  log: (line: string) => void;
  /** The user's cache folder unless told. */
  cache?: string;
}

/** Resolves with the folder whose node_modules has them. A set of packages is installed once, and never changes. */
export async function installOnDemand({
  packages,
  scripts = false,
  log,
  cache = cacheFolder(),
}: OnDemand): Promise<string> {
  const specs = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  const [first = 'none'] = specs;
  const hash = createHash('sha256')
    .update(JSON.stringify([specs, scripts]))
    .digest('hex')
    .slice(0, 8);
  const folder = join(cache, `${first.replaceAll(/[^\w.@-]/g, '+')}-${hash}`);
  if (existsSync(folder)) return folder;
  log(`installing ${specs.join(', ')}`);
  await mkdir(cache, { recursive: true });
  const making = await mkdtemp(join(cache, 'making-'));
  try {
    await writeFile(join(making, 'package.json'), JSON.stringify({ private: true, dependencies: packages }));
    await npmInstall(making, scripts);
    await rename(making, folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // another process was faster
    });
  } finally {
    await rm(making, { recursive: true, force: true });
  }
  return folder;
}

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fairlead');
}

async function npmInstall(cwd: string, scripts: boolean): Promise<void> {
  const flags = ['--no-audit', '--no-fund', '--no-package-lock', ...(scripts ? [] : ['--ignore-scripts'])];
  const child = spawn('npm', ['install', ...flags], {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    signal: AbortSignal.timeout(INSTALL_MS),
  });
  const tail = new Tail(20);
  eachLine(child.stderr, (line) => tail.push(line));
  const { code } = await watchExit(child);
  if (code !== 0) throw new Error(`npm install ended with ${code}:\n${tail.toString()}`);
}
