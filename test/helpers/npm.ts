/** Packs this checkout and installs packages as a person does with npm, each with a deadline. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eachLine, Tail, watchExit } from './processes.js';

/** The repository, seen from dist/test/helpers. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const NPM_MS = 600_000;
/** What an outer npm tells its scripts about its own package. */
const OF_OUTER_NPM = /^npm_(?:package|lifecycle|command|execpath|config_local_prefix)|^INIT_CWD$/;

/** Resolves with what npm printed to stdout; rejects with the end of stderr. */
export async function npm(cwd: string, args: readonly string[]): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OF_OUTER_NPM.test(name)));
  const child = spawn('npm', [...args, '--no-audit', '--no-fund', '--no-update-notifier'], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(NPM_MS),
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const tail = new Tail();
  eachLine(child.stderr, (line) => tail.push(line));
  const { code } = await watchExit(child);
  if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code}:\n${tail.toString()}`);
  return stdout;
}

/** The path of the tarball that `npm pack` makes in `folder`, and the paths of the files in it. */
export async function pack(folder: string): Promise<{ tarball: string; files: string[] }> {
  const [made] = JSON.parse(await npm(ROOT, ['pack', '--json', '--pack-destination', folder])) as {
    filename: string;
    files: { path: string }[];
  }[];
  if (made === undefined) throw new Error('npm pack made nothing');
  return { tarball: join(folder, made.filename), files: made.files.map(({ path }) => path) };
}
