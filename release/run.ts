/** Runs a program of the release's own making with a deadline, and fails with its words. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execFileAsync = promisify(execFile);
const RUN_MS = 15 * 60_000;
const MAX_BYTES = 64 * 1024 * 1024;
/** Environment variables with which an outer npm describes its own package to its scripts. */
const OF_OUTER_NPM = /^npm_(?:package|lifecycle|command|execpath|config_local_prefix)|^INIT_CWD$/;

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/** Resolves with stdout; rejects with the command and the end of what it said. */
export async function run(program: string, args: readonly string[], { cwd, env }: RunOptions = {}): Promise<string> {
  const inherited = Object.entries(process.env).filter(([name]) => !OF_OUTER_NPM.test(name));
  try {
    const { stdout } = await execFileAsync(program, args, {
      cwd,
      env: { ...Object.fromEntries(inherited), ...env },
      timeout: RUN_MS,
      maxBuffer: MAX_BYTES,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
    const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`${program} ${args.join(' ')} failed: ${said || message}`, { cause: error });
  }
}
