/** Where the protocol's own conformance suite is, and the newer Node that it needs: installed by `npm ci --prefix test/conformance`. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stopChild, watchExit, within } from '../helpers/processes.js';

/** The checkout, seen from dist/test/conformance. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const INSTALLED = join(ROOT, 'test/conformance/node_modules');

export type CheckStatus = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';

/** One line of a scenario's result, as the suite writes it. */
export interface Check {
  id: string;
  name: string;
  description: string;
  status: CheckStatus;
  errorMessage?: string;
}

/** Names of the scenarios that a revision of the specification requires, as the suite's own list has them. */
export async function requiredScenarios(revision: string, kind: 'client' | 'server'): Promise<string[]> {
  const list = join(INSTALLED, `@modelcontextprotocol/conformance/requirements/${revision}.yaml`);
  const names: string[] = [];
  let part = '';
  for (const line of (await readFile(list, 'utf8')).split('\n')) {
    const heading = /^(\w[\w-]*):/.exec(line);
    if (heading) part = heading[1] ?? '';
    const item = /^\s*- (?:name: )?['"]?([\w/.-]+)['"]?\s*$/.exec(line);
    if (item?.[1] !== undefined && part === kind) names.push(item[1]);
  }
  return names;
}

/** Runs the suite and resolves when it has ended, whatever it says. */
export async function runSuite(args: readonly string[], timeoutMs: number): Promise<{ code: number; output: string }> {
  const node = join(INSTALLED, 'node/bin/node');
  const entry = join(INSTALLED, '@modelcontextprotocol/conformance/dist/index.js');
  if (!existsSync(node) || !existsSync(entry)) {
    throw new Error('the conformance suite is not installed: npm ci --prefix test/conformance');
  }
  // The suite starts a client for each scenario, all at once: tap's coverage of each would take the machine for minutes.
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...env } = process.env;
  const child = spawn(node, [entry, ...args], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = watchExit(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  try {
    const { code } = await within(exited, timeoutMs, () => `the suite did not end within ${timeoutMs} ms:\n${output}`);
    return { code: code ?? -1, output };
  } finally {
    await stopChild(child, exited, 5_000);
  }
}

/** Checks by scenario, of a run with `--output-dir`: each has a folder of its name and the time. */
export async function readResults(dir: string): Promise<Map<string, Check[]>> {
  const results = new Map<string, Check[]>();
  for (const file of await readdir(dir, { recursive: true })) {
    const scenario = /^(.+)-\d{4}-\d\d-\d\dT[\d-]+Z\/checks\.json$/.exec(file)?.[1];
    if (scenario !== undefined) results.set(scenario, JSON.parse(await readFile(join(dir, file), 'utf8')) as Check[]);
  }
  return results;
}
