import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseEnvironmentFile } from '../../../../src/cli/doctor/environment-file.js';
import { subjectOf } from '../../../../src/cli/doctor/subject.js';
import type { Diagnosis } from '../../../../src/cli/doctor/doctor.js';
import { runCli } from '../spawn-cli.js';

const UNIT = 'fairlead.service';

/** A stand-in for systemctl on the PATH, since no unit can be installed here: a real systemd is asked by the tests of the service. */
function withSystemctl(t: Test, folder: string, shown: string[]): void {
  const file = join(folder, 'systemctl');
  writeFileSync(file, `#!/bin/sh\ncat <<'END'\n${shown.join('\n')}\nEND\n`);
  chmodSync(file, 0o755);
  const before = process.env['PATH'];
  process.env['PATH'] = `${folder}:${before ?? ''}`;
  t.teardown(() => void (process.env['PATH'] = before));
}

t.test('an environment file is read as systemd reads it', (t) => {
  const text = `# a comment\n; another\nA=1\nB="two words"\nC='it is'\n  D=x#y = z \nexport E=5\n1F=6\nG=\nH="open\n`;
  t.strictSame(parseEnvironmentFile(text), { A: '1', B: 'two words', C: 'it is', D: 'x#y = z', G: '', H: '"open' });
  t.end();
});

t.test('where a service is installed its environment, account and limit are judged, and not the shell’s', async (t) => {
  const folder = t.testdir({ 'fairlead.env': 'PORT=4321\nANTHROPIC_API_KEY=sk-secret\n' });
  withSystemctl(t, folder, [
    'LoadState=loaded',
    'ActiveState=active',
    'User=nobody',
    `EnvironmentFiles=${folder}/fairlead.env (ignore_errors=no)`,
    `EnvironmentFiles=${folder}/missing.env (ignore_errors=yes)`,
    'Environment=NODE_ENV=production PORT=1',
    'WorkingDirectory=/var/lib/fairlead',
    'LimitNOFILE=4096',
    `MainPID=${process.pid}`,
    'NeedDaemonReload=yes',
    'AmbientCapabilities=cap_net_bind_service',
    'CapabilityBoundingSet=cap_net_raw cap_net_bind_service',
  ]);
  const env = { PATH: 'p', PORT: '9999', REDIS_URL: 'redis://shell' };
  const subject = await subjectOf({ unit: UNIT, env });
  t.strictSame(subject.env, { PATH: 'p', NODE_ENV: 'production', PORT: '4321', ANTHROPIC_API_KEY: 'sk-secret' });
  t.match(subject, {
    cwd: '/var/lib/fairlead',
    account: { name: 'nobody' },
    openFiles: 4_096,
    pid: process.pid,
    lowPorts: true,
  });
  t.match(subject.findings, [
    { status: 'ok', detail: /fairlead\.service \(active\)/ },
    { status: 'warning', hint: /daemon-reload/ },
  ]);
  t.notMatch(JSON.stringify(subject.findings), 'sk-secret');
  t.strictSame((await subjectOf({ unit: UNIT, env, shell: true })).env, env, 'unless the shell is asked for');
});

t.test(
  'an environment file that cannot be read, and an account that is not there, are crosses that say what to do',
  async (t) => {
    const folder = t.testdir();
    withSystemctl(t, folder, [
      'LoadState=loaded',
      'ActiveState=failed',
      'User=no-such-account',
      `EnvironmentFiles=${folder}/gone.env (ignore_errors=no)`,
    ]);
    const { findings, lowPorts } = await subjectOf({ unit: UNIT, env: {} });
    t.equal(lowPorts, false, 'its unit grants none');
    t.match(findings, [
      { status: 'ok' },
      { status: 'failed', detail: /gone\.env cannot be read \(ENOENT\)/, hint: String },
      { status: 'failed', detail: /its user no-such-account is not there/, hint: /service install/ },
    ]);
  },
);

t.test('without a service the shell is judged, or the files that are named', async (t) => {
  const folder = t.testdir({ 'a.env': 'PORT=1234\n', 'a.json': '{}' });
  withSystemctl(t, folder, ['LoadState=not-found', 'ActiveState=inactive']);
  const env = { PATH: 'p', PORT: '9' };
  t.match(await subjectOf({ unit: UNIT, env }), { env, findings: [{ detail: /no service is installed/ }] });
  t.match((await subjectOf({ unit: UNIT, env, envFile: 'a.env', cwd: folder })).env, { PATH: 'p', PORT: '1234' });
  t.match(await subjectOf({ unit: UNIT, env, config: 'a.json', cwd: folder }), {
    env: { PORT: '9', FAIRLEAD_CONFIG: `${folder}/a.json` },
  });
});

t.test('the command judges the files that it is given', async (t) => {
  const folder = t.testdir({
    'a.env': `FAIRLEAD_CONFIG=${t.testdirName}/a.json\nPORT=0\n`,
    'a.json': '{"colour":"red"}',
  });
  const { code, stdout } = await runCli(t, ['doctor', '--json', '--env-file', `${folder}/a.env`]);
  t.equal(code, 1);
  const { checks } = JSON.parse(stdout) as Diagnosis;
  t.match(
    checks.filter(({ name }) => name === 'configuration'),
    [{ status: 'failed', detail: /colour/ }],
  );
  t.match(
    checks.filter(({ name }) => name === 'service'),
    [{ status: 'ok', detail: /a\.env/ }],
  );
});
