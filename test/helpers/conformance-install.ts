/** The protocol's conformance suite is a package of its own, with the newer Node that it needs: installed when it is not there. Runs in tests. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { watchExit } from './processes.js';

export async function ensureConformanceSuite(root: string, log: (line: string) => void): Promise<void> {
  const folder = join(root, 'test/conformance');
  if (existsSync(join(folder, 'node_modules/node/bin/node'))) return;
  log('installing the MCP conformance suite');
  const child = spawn('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { code } = await watchExit(child);
  if (code !== 0) throw new Error(`npm ci in test/conformance ended with ${code}`);
}
