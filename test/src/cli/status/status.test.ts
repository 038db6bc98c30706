import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { freePort } from '../../../helpers/processes.js';
import { startFront, type FixtureOptions } from '../../front/front-fixture.js';
import { runCli, type Outcome } from '../spawn-cli.js';

/** Stand-ins for systemctl and journalctl, since a unit that has failed cannot be had here: a real systemd is asked by the tests of the service. */
function systemd(t: Test, { shown, journal }: { shown: string[]; journal: string[] }): string {
  const folder = t.testdir();
  for (const [name, lines] of [
    ['systemctl', shown],
    ['journalctl', journal],
  ] as const) {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\ncat <<'END'\n${lines.join('\n')}\nEND\n`);
    chmodSync(file, 0o755);
  }
  return `${folder}:${process.env['PATH'] ?? ''}`;
}

async function withServer(
  t: Test,
  args: string[],
  options: FixtureOptions & { reasons?: string[]; env?: Record<string, string> } = {},
): Promise<Outcome> {
  const fixture = await startFront(options);
  t.teardown(() => fixture.close());
  const { reasons = [] } = options;
  Object.assign(fixture.readiness, { ready: reasons.length === 0, reasons });
  return runCli(t, ['status', '--url', fixture.url, ...args], { env: options.env ?? {} });
}

t.test('a server that is ready is shown with its numbers, and the exit code is 0', async (t) => {
  const { code, stdout } = await withServer(t, []);
  t.equal(code, 0);
  for (const said of [
    /^Fairlead 0\.0\.0 is ready http/,
    /since .*2026-01-01T00:00:00\.000Z \(1 min\), process 1/,
    /people +0 with 0 connections/,
    /2 turns running/,
    /demo: 1 requests run, 0 wait/,
    /workspace 3 leased; 0 wait for one/,
    /! MCP server docs: down \(fairlead mcp info docs\)/,
  ]) {
    t.match(stdout, said);
  }
  const { stdout: json } = await withServer(t, ['--json']);
  t.match(JSON.parse(json), { state: 'ready', reasons: [], status: { sessions: { inMemory: 3 } } });
});

t.test('without the role there are no numbers, and whether it is ready is told all the same', async (t) => {
  const tokens = { ann: 'token-a' };
  const { code, stdout } = await withServer(t, ['--token', 'token-a'], { tokens });
  t.equal(code, 0);
  t.match(stdout, /is ready/);
  t.match(stdout, /no numbers: this needs the role operator, and ann has user/);
});

t.test('a server that is not ready says why, and exits with 1', async (t) => {
  const { code, stdout } = await withServer(t, ['--token', 'bad'], {
    tokens: { ann: 'token-a' },
    reasons: ['the store does not answer: ECONNREFUSED'],
  });
  t.equal(code, 1);
  t.match(stdout, /is not ready/);
  t.match(stdout, /✗ the store does not answer: ECONNREFUSED/);
});

t.test('a server that hangs is told apart from one that does not run', async (t) => {
  const silent = createServer((socket) => socket.on('error', () => undefined));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => silent.close());
  const { code, stdout } = await runCli(t, [
    'status',
    '--url',
    `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
  ]);
  t.equal(code, 1);
  t.match(stdout, /is not answering .*no answer within 5 s/s);
});

t.test('where no server runs, systemd and its journal say why', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const PATH = systemd(t, {
    shown: [
      'LoadState=loaded',
      'ActiveState=failed',
      'SubState=failed',
      'Result=exit-code',
      'ExecMainStatus=78',
      'ExecMainExitTimestamp=Mon 2026-11-30 19:00:00 UTC',
      'NRestarts=0',
    ],
    journal: [
      '{"level":50,"path":"PORT","msg":"the configuration has a problem: PORT: must be a port"}',
      'fairlead.service: Failed with result exit-code.',
    ],
  });
  const { code, stdout } = await runCli(t, ['status', '--url', url], { env: { PATH } });
  t.equal(code, 1);
  for (const said of [
    /is not running/,
    /✗ no server answers at .* \(ECONNREFUSED\)/,
    /fairlead\.service is failed \(failed\): exit-code, exit status 78, ended Mon 2026/,
    /the configuration is wrong: systemd does not try again/,
    /journal +the configuration has a problem: PORT: must be a port/,
    /journal +fairlead\.service: Failed/,
    /fairlead doctor/,
  ]) {
    t.match(stdout, said);
  }
  const json = await runCli(t, ['status', '--url', url, '--json'], { env: { PATH } });
  t.match(JSON.parse(json.stdout), { state: 'not running', service: { exitStatus: 78, result: 'exit-code' } });
});

t.test('without systemd, or without the unit, a server that does not run is told as that', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const PATH = systemd(t, { shown: ['LoadState=not-found', 'ActiveState=inactive'], journal: [] });
  const { code, stdout } = await runCli(t, ['status', '--url', url, '--json'], { env: { PATH } });
  t.equal(code, 1);
  t.same(Object.keys(JSON.parse(stdout) as object), ['state', 'url', 'reasons']);
});
