/** What this machine has, looked at before anything is planned; changes nothing. Command line's process. */
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { basename, delimiter, join } from 'node:path';
import { ConfigError, loadConfig, type Config } from '../../shared/config.js';
import { messageOf } from '../report.js';
import { holdersOf } from '../listeners.js';
import { ACCOUNT, type Layout } from './layout.js';
import { ORIGIN } from './source.js';
import type { FoundKeys } from './store-keys.js';

export interface Facts {
  root: boolean;
  systemd: boolean;
  account: boolean;
  dockerGroup: boolean;
  /** Debian 12 has it in a package of its own. */
  dockerCommand: boolean;
  /** The versions in the releases' folder, and the one that the link leads to. */
  releases: string[];
  current: string | undefined;
  /** By version: the digest of what the release was made of; those of before have none. */
  origins: Readonly<Record<string, string>>;
  /** Names in the releases' folder of what is no release: an installation that was killed has left it. */
  leftovers: string[];
  /** Where the link of the command leads; `file` = somebody's own file. */
  command: { kind: 'none' | 'file' } | { kind: 'link'; to: string };
  /** Each file's text; undefined = not there. */
  texts: Record<
    | 'config'
    | 'environment'
    | 'adminEnvironment'
    | 'unit'
    | 'slice'
    | 'portDropIn'
    | 'redisConfig'
    | 'redisInclude'
    | 'caddyfile'
    | 'site',
    string | undefined
  >;
  /** By path, of those of the pages that are there: where the link leads; `file` = somebody's own file. */
  pages: Readonly<Record<string, { kind: 'file' } | { kind: 'link'; to: string }>>;
  /** Debian's own folders below /usr/local are there. */
  localMan: boolean;
  /** Of the Redis of this machine, by name: what is set now; undefined = it does not say, or was not asked. */
  redis: Readonly<Record<string, string>> | 'stopped' | undefined;
  /** Keys in Redis; undefined = nobody looked. */
  keys: FoundKeys | undefined;
  /** The data folder is there. */
  data: boolean;
  /** Of the data folder: the label of its containers. */
  instance: string | undefined;
  /** Free bytes where releases go. */
  freeBytes: number;
}

export function lookAt(layout: Layout): Facts {
  const inReleases = existsSync(layout.releases) ? readdirSync(layout.releases).toSorted() : [];
  const releases = inReleases.filter((name) => !name.startsWith('.'));
  return {
    root: process.getuid?.() === 0,
    // systemd's own way to ask whether it runs this machine: sd_booted(3).
    systemd: existsSync('/run/systemd/system'),
    account: names('/etc/passwd').has(ACCOUNT),
    dockerGroup: names('/etc/group').has('docker'),
    dockerCommand: onPath('docker'),
    releases,
    leftovers: inReleases.filter((name) => name.startsWith('.')),
    origins: Object.fromEntries(
      releases.map((name) => [name, textOf(join(layout.releases, name, ORIGIN))?.trim() ?? '']),
    ),
    current: currentOf(layout),
    command: commandOf(layout.command),
    texts: {
      config: textOf(layout.config),
      environment: textOf(layout.environment),
      adminEnvironment: textOf(layout.adminEnvironment),
      unit: textOf(layout.unit),
      slice: textOf(layout.slice),
      portDropIn: textOf(layout.portDropIn),
      redisConfig: textOf(layout.redisConfig),
      redisInclude: textOf(layout.redisInclude),
      caddyfile: textOf(layout.caddyfile),
      site: textOf(layout.site),
    },
    pages: Object.fromEntries(
      layout.pages.flatMap(({ path }) => {
        const { kind, to } = linkAt(path);
        return kind === 'none' ? [] : [[path, kind === 'link' ? { kind, to } : { kind }]];
      }),
    ),
    localMan: linkAt(layout.localMan).kind !== 'none',
    redis: undefined,
    keys: undefined,
    data: existsSync(layout.data),
    instance: /^[0-9a-f]{16}$/.exec(textOf(join(layout.data, 'instance'))?.trim() ?? '')?.[0],
    freeBytes: freeIn(layout.releases),
  };
}

/** The variables of an environment file, as systemd reads it: NAME=value, with or without quotes around the value. */
export function variablesOf(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [, name, value = ''] = /^([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) found[name] = value.replace(/^(["'])(.*)\1$/, '$2');
  }
  return found;
}

export interface Address {
  host: string;
  port: number;
}

/** What the service would read: the problems of a configuration that it would not take, one in a line. */
export function configOf(layout: Layout, { texts }: Pick<Facts, 'texts'>): { config: Config } | { problems: string[] } {
  const env = {
    ...(texts.config === undefined ? {} : { FAIRLEAD_CONFIG: layout.config }),
    ...variablesOf(texts.environment ?? ''),
  };
  // An environment file of before, whose configuration is yet to be made.
  if (texts.config === undefined && env['FAIRLEAD_CONFIG'] === layout.config) delete env['FAIRLEAD_CONFIG'];
  try {
    return { config: loadConfig(env, layout.data) };
  } catch (error) {
    if (!(error instanceof ConfigError)) return { problems: [messageOf(error)] };
    return { problems: error.problems.map(({ path, message }) => `${path}: ${message}`) };
  }
}

/** Undefined when the server could listen there; else the reason. */
export function portProblem({ host, port }: Address): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code }: NodeJS.ErrnoException) => {
      const why = code === 'EADDRINUSE' ? `${holdersOf(port)} listens there` : code;
      resolve(`the port ${port} of ${host} cannot be used (${why}): set PORT in the environment file`);
    });
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** The Node of this process, where the wrapper would not find it in the service's PATH or the service cannot see it; else undefined. */
export function nodeToBring(
  node = process.execPath,
  places = ['/usr/local/bin/node', '/usr/bin/node'],
): string | undefined {
  const found = places.some((place) => existsSync(place) && realpathSync(place) === realpathSync(node));
  return found ? undefined : node;
}

/** Of most file systems: a small file takes a whole one. */
const BLOCK_BYTES = 4_096;

/** Bytes that a folder takes on a disk, or a tarball unpacked: gzip makes JavaScript a third or less. */
export function bytesNeeded(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size * 4;
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    const { size } = lstatSync(join(entry.parentPath, entry.name));
    bytes += Math.ceil(Math.max(size, 1) / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return bytes;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Without root some cannot be read; the plan then says that it needs root, whatever they hold.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined;
    throw error;
  }
}

function currentOf(layout: Layout): string | undefined {
  const { kind, to } = linkAt(layout.current);
  return kind === 'link' ? basename(to) : undefined;
}

function commandOf(path: string): Facts['command'] {
  const found = linkAt(path);
  return found.kind === 'link' ? found : { kind: found.kind };
}

function linkAt(path: string): { kind: 'none' | 'file' | 'link'; to: string } {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return { kind: 'none', to: '' };
  return stat.isSymbolicLink() ? { kind: 'link', to: readlinkSync(path) } : { kind: 'file', to: '' };
}

function names(file: string): Set<string> {
  return new Set((textOf(file) ?? '').split('\n').map((line) => line.slice(0, line.indexOf(':'))));
}

function onPath(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)));
}

/** Of the nearest folder above that is there. */
export function freeIn(path: string): number {
  let folder = path;
  while (!existsSync(folder)) folder = join(folder, '..');
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
