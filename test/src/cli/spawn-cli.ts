/** Runs the built command line as a person would, and collects what it prints. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const CLI = fileURLToPath(new URL('../../../src/cli.js', import.meta.url));
const DEADLINE_MS = 30_000;

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** In an empty folder and with nothing of this machine's environment but PATH, so that no setting leaks in. */
export async function runCli(
  t: Test,
  args: readonly string[],
  { env = {}, stdin = '', keepOpen = false }: { env?: Record<string, string>; stdin?: string; keepOpen?: boolean } = {},
): Promise<Outcome> {
  const cwd = mkdtempSync(join(tmpdir(), 'fairlead-cli-'));
  t.teardown(() => rmSync(cwd, { recursive: true, force: true }));
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...env },
    signal: AbortSignal.timeout(DEADLINE_MS),
    killSignal: 'SIGKILL',
  });
  const outcome = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (outcome.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (outcome.stderr += text));
  child.stdin.write(stdin);
  if (!keepOpen) child.stdin.end();
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...outcome };
}
