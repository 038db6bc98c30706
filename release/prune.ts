/** Removes from installed packages what no server runs: sources, types, maps, tests, binaries of other systems. Licences stay. */
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Kinds of files that Node loads, the libraries of addons, and .proto files, which dockerode reads when it builds an image. */
const LOADED = /\.(?:[cm]?js|json|node|wasm|proto|so(?:\.\d+)*)$/;
const LICENCE = /^(?:licen[cs]e|notice|copying|copyright|patents|authors|third.?party)/i;
/** Directly below a package. */
const NOT_RUN = /^(?:\.github|__tests__|bench|benchmarks?|coverage|docs?|examples?|fuzz|karma|man|tests?|typings)$/;
/** Compiled for the C library of Alpine. */
const MUSL = /[._-]musl[._-]|(?:^|\/)musl_/;

export interface Target {
  /** Node's platform and architecture, `linux` and `x64`. */
  platform: string;
  arch: string;
  /** The ABI of the Node that loads the addons: `process.versions.modules`. */
  modules: string;
}

/** `path` is below a package's own folder, with `/` between. */
export function isKept(path: string, target: Target): boolean {
  const parts = path.split('/');
  const name = parts.at(-1) ?? '';
  if (LICENCE.test(name)) return true;
  if (parts.some((part) => part.startsWith('.'))) return false;
  if (parts.length > 1 && NOT_RUN.test(parts[0] ?? '')) return false;
  if (!LOADED.test(name)) return false;
  return !name.endsWith('.node') || fits(path, target);
}

function fits(path: string, { platform, arch, modules }: Target): boolean {
  if (MUSL.test(path) || /\/obj\.target\//.test(path)) return false;
  const uws = /(?:^|\/)uws_([a-z0-9]+)_([a-z0-9]+)_(\d+)\.node$/.exec(path);
  if (uws) return uws[1] === platform && uws[2] === arch && uws[3] === modules;
  const abi = /\.abi(\d+)\./.exec(path)?.[1];
  return abi === undefined || abi === modules;
}

/** Prunes each package below a node_modules folder. Packages that only describe types lose all but their licence. */
export async function prune(nodeModules: string, target: Target): Promise<void> {
  await rm(join(nodeModules, '.bin'), { recursive: true, force: true });
  await rm(join(nodeModules, '.package-lock.json'), { force: true });
  for (const name of await packagesIn(nodeModules)) await prunePackage(join(nodeModules, name), target);
}

/** Names of the packages directly in it, scoped ones with their scope. */
export async function packagesIn(nodeModules: string): Promise<string[]> {
  const names = (await readdir(nodeModules)).filter((name) => !name.startsWith('.'));
  const lists = names.map(async (name) =>
    name.startsWith('@') ? (await readdir(join(nodeModules, name))).map((inner) => `${name}/${inner}`) : [name],
  );
  return (await Promise.all(lists)).flat().sort();
}

async function prunePackage(folder: string, target: Target): Promise<void> {
  const walk = async (path: string): Promise<boolean> => {
    let empty = true;
    for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
      const inner = path === '' ? entry.name : `${path}/${entry.name}`;
      if (inner === 'node_modules') {
        await prune(join(folder, inner), target);
        empty = false;
      } else if (entry.isDirectory()) {
        if (!(await walk(inner))) empty = false;
      } else if (isKept(inner, target)) empty = false;
      else await rm(join(folder, inner));
    }
    if (empty && path !== '') await rmdir(join(folder, path));
    return empty;
  };
  await walk('');
}
