/** The programs that the tests need, and how they get onto a Debian machine where they are missing. Used by the test command. */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { watchExit } from './processes.js';

/** Debian puts daemons where a user's PATH does not look. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

const PROGRAMS = [
  'redis-server',
  'dockerd',
  'containerd',
  'runc',
  'busybox',
  'iptables',
  'systemd-analyze',
  'chromium',
  'nginx',
  'caddy',
  'mandoc',
  'groff',
  'dh',
  'lintian',
  'rg',
] as const;
/** For the Python client in examples/. */
const PYTHON_MODULE = 'websockets';
/** The first on PATH may be another one than Debian's, and does not see Debian's packages then. */
const PYTHONS = ['python3', '/usr/bin/python3'];
const PACKAGES = [
  'redis-server',
  'docker.io',
  'busybox-static',
  'iptables',
  'systemd',
  'python3',
  'python3-websockets',
  'chromium',
  'nginx-light',
  'caddy',
  'mandoc',
  'groff-base',
  'debhelper',
  'lintian',
  'ripgrep',
];
export const INSTALL_LINE =
  'apt-get update && apt-get install -y --no-install-recommends ' +
  PACKAGES.join(' ') +
  '   # as root, Debian or Ubuntu';

/** Where Debian asks whether a package may start its services. */
const POLICY_FILE = '/usr/sbin/policy-rc.d';

/** Makes PATH complete for this process and its children. */
export function extendPath(): void {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  process.env['PATH'] = [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))].join(delimiter);
}

export function findProgram(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The Python that has the module, once `ensurePrograms` has run. */
export function findPython(): string | undefined {
  return PYTHONS.find(
    (python) => spawnSync(python, ['-c', `import ${PYTHON_MODULE}`], { stdio: 'ignore' }).status === 0,
  );
}

/** Names of the programs and modules that are not there; a busybox that needs libraries counts as missing: it is copied into images. */
export function missingPrograms(): string[] {
  const programs = PROGRAMS.filter((name) => {
    const path = findProgram(name);
    return path === undefined || (name === 'busybox' && !isStatic(path));
  });
  return findPython() === undefined ? [...programs, `Python's ${PYTHON_MODULE}`] : programs;
}

/** Installs what is missing where that can be done, and throws with the one line to run where it cannot. */
export async function ensurePrograms(log: (line: string) => void): Promise<void> {
  extendPath();
  const missing = missingPrograms();
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || findProgram('apt-get') === undefined) {
    throw new Error(`the tests need ${missing.join(', ')}. Run:\n  ${INSTALL_LINE}`);
  }
  log(`installing what the tests need and this machine has not: ${missing.join(', ')}`);
  await withoutServices(async () => {
    await run(log, 'apt-get', ['update', '-q']);
    await run(log, 'apt-get', ['install', '-y', '-q', '--no-install-recommends', ...PACKAGES]);
  });
  const still = missingPrograms();
  if (still.length > 0) throw new Error(`${still.join(', ')} still missing after: ${INSTALL_LINE}`);
}

/** While `work` runs, no package starts its service: the tests start their own. */
async function withoutServices(work: () => Promise<void>): Promise<void> {
  const ours = !existsSync(POLICY_FILE);
  if (ours) await writeFile(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await work();
  } finally {
    if (ours) await rm(POLICY_FILE, { force: true });
  }
}

async function run(log: (line: string) => void, command: string, args: string[]): Promise<void> {
  log(`$ ${[command, ...args].join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { code, signal } = await watchExit(spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env }));
  if (code !== 0) throw new Error(`${command} ended with ${code ?? signal}. Run it yourself:\n  ${INSTALL_LINE}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not to be run: the next folder may have it
  }
}

/** `ldd` fails on a program that needs no libraries. */
function isStatic(path: string): boolean {
  return spawnSync('ldd', [path], { stdio: 'ignore' }).status !== 0;
}
