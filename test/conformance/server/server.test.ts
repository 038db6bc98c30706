/** The protocol's own suite of server scenarios, against a whole engine's /mcp. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startEngine } from '../../helpers/engine.js';
import { watchExit } from '../../helpers/processes.js';
import { startFixtureServer } from './fixture-server.js';

t.setTimeout(300_000); // whole processes, on a machine that may be busy

/** Of the repository: the compiled test is one folder deeper. */
const SUITE = fileURLToPath(new URL('../../../../test/conformance/node_modules/', import.meta.url));
const NODE = join(SUITE, 'node/bin/node');
const CONFORMANCE = join(SUITE, '@modelcontextprotocol/conformance/dist/index.js');
const REQUIRED = { '2025-11-25': 30, '2026-07-28': 37 };

const fixture = await startFixtureServer();
t.teardown(() => fixture.close());
const engine = await startEngine({
  config: {
    approvals: { default: 'allow' },
    sandbox: { driver: 'process' },
    mcp: { allowLoopback: true },
    mcpServers: { fixture: { url: `${fixture.url}/mcp`, type: 'http', sampling: {} } },
  },
});
t.teardown(() => engine.stop());

async function runSuite(revision: string): Promise<{ code: number | null; output: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-conformance-'));
  const args = [CONFORMANCE, 'server', '--url', `${engine.url}/mcp`, '--requirements', revision, '-o', folder];
  const child = spawn(NODE, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const { code } = await watchExit(child);
  await rm(folder, { recursive: true, force: true });
  return { code, output };
}

for (const [revision, count] of Object.entries(REQUIRED)) {
  t.test(`all ${count} scenarios that ${revision} requires of a server pass`, async (t) => {
    const { code, output } = await runSuite(revision);
    t.equal(code, 0, output);
    const [passed, failed] = ['✓', '✗'].map((mark) => output.match(new RegExp(`^${mark} [^:]+(?=:)`, 'gm')) ?? []);
    t.ok(passed!.length >= count, `${passed!.length} passed`);
    // What is run beside them and not counted passes as well, but for tasks, an extension that this server does not have.
    t.strictSame(
      failed!.filter((name) => !name.startsWith('✗ tasks-')),
      [],
    );
  });
}
