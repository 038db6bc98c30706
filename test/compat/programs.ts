/** What is tried, installed on demand: a program of a package, and the newer Node that some need. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installOnDemand } from '../helpers/on-demand.js';

export interface Program {
  package: string;
  version: string;
  bin?: string;
  newerNode?: boolean;
  /** Its install scripts run. */
  scripts?: boolean;
}

/** With a `bin` of its own, which is no package that anything here depends on. */
const NEWER_NODE = { package: 'node', version: '24.21.0' };

/** Resolves with a command and its first arguments. */
export async function programOf(program: Program, log: (line: string) => void): Promise<string[]> {
  const { package: name, version, bin, newerNode = false, scripts = false } = program;
  const folder = await installOnDemand({ packages: { [name]: version }, scripts, log });
  const root = join(folder, 'node_modules', name);
  const file = join(root, binOf(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest, bin));
  if (await isNative(file)) return [file];
  return [newerNode ? await newerNodePath(log) : process.execPath, file];
}

export async function newerNodePath(log: (line: string) => void): Promise<string> {
  const { package: name, version } = NEWER_NODE;
  const folder = await installOnDemand({ packages: { [name]: version }, scripts: true, log });
  return join(folder, 'node_modules', 'node', 'bin', 'node');
}

interface Manifest {
  bin?: string | Record<string, string>;
}

function binOf({ bin }: Manifest, name: string | undefined): string {
  const path = typeof bin === 'object' ? (name === undefined ? Object.values(bin)[0] : bin[name]) : bin;
  if (path === undefined) throw new Error(`the package has no program ${name ?? ''}`);
  return path;
}

/** An ELF file: Node does not run it. */
async function isNative(file: string): Promise<boolean> {
  return (await readFile(file)).subarray(0, 4).equals(Buffer.from('\u007fELF', 'latin1'));
}
