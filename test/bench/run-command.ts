/** Runs a built command of the benches as `npm run` would. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const DEADLINE_MS = 30_000;

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export async function runBenchCommand(
  folder: 'suite' | 'report-page' | 'compare',
  ...args: string[]
): Promise<Outcome> {
  const main = fileURLToPath(new URL(`../../bench/${folder}/main.js`, import.meta.url));
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(DEADLINE_MS),
    killSignal: 'SIGKILL',
  });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}
