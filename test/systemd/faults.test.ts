/** What an operator sees when something is wrong on a machine with systemd: doctor, status, journal; and a disk that fills in an upgrade. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { buildImage } from '../../src/cli/image/image.js';
import { docker } from '../helpers/docker.js';
import { startDockerd } from '../helpers/dockerd.js';
import { copyRelease, makeRelease, packRelease } from '../helpers/release-folder.js';
import { bootSystemd, START_DOCKER, STOP_DOCKER } from '../helpers/systemd-machine.js';
import { until } from '../helpers/until.js';

/** A machine boots, beside other tests. */
t.setTimeout(900_000);
const WAIT = { timeoutMs: 300_000 };
const CONFIG = '/etc/fairlead/fairlead.json';

const shared = await mkdtemp(join(tmpdir(), 'fl-faults-'));
t.teardown(() => rm(shared, { recursive: true, force: true }));
const [one, two] = [join(shared, '1.0.0'), join(shared, '2.0.0')];
await mkdir(one);
await makeRelease(one, '1.0.0');
await copyRelease(one, two, '2.0.0');
await packRelease(two);

const dockerd = await startDockerd();
t.teardown(() => dockerd.stop());
await buildImage({ tag: 'fairlead/workspace', local: true, docker: docker(dockerd.host), log: () => undefined });
const machine = await bootSystemd(dockerd.host, shared);
t.teardown(() => machine.stop());
const { sh, must } = machine;
// Disks of their own, which fill without this machine's.
await must('mount -t tmpfs -o size=1g tmpfs /opt');
await must('mkdir /var/lib/fairlead && mount -t tmpfs -o size=400m tmpfs /var/lib/fairlead');
const { code, output } = await sh('/shared/1.0.0/systemd/fairlead service install --redis --no-image 2>&1');
if (code !== 0) throw new Error(output);
const token = /^flt_\S+$/m.exec(output)?.[0] ?? '';

const show = async (property: string): Promise<string> =>
  (await must(`systemctl show fairlead.service --property=${property} --value`)).trim();
const ready = async (): Promise<string> => (await sh('fairlead service status --wait 300 2>&1')).output;
const status = () => sh(`fairlead status --token ${token} 2>&1`);
let session = '';

const chat = async (text: string): Promise<string> => {
  const known = session === '' ? '' : `--session ${session}`;
  const { output } = await sh(`echo '${text}' | fairlead chat --yes --token ${token} ${known} 2>&1`);
  session ||= /session ([\w-]+)/.exec(output)?.[1] ?? '';
  return output;
};

interface Entry {
  PRIORITY: string;
  SYSLOG_IDENTIFIER: string;
  MESSAGE: string;
}

/** Of the server's own lines, and not systemd's about it; `args` as an operator gives them. */
const journal = async (args: string): Promise<Entry[]> =>
  (await must(`journalctl -u fairlead -t fairlead -o json --no-pager -q ${args}`))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Entry);

/** Again until it is so: on a machine that is busy with other tests a check may be late, and says that. */
const doctorSays = async (expected: RegExp, code: number): Promise<void> => {
  let last = '';
  const says = async () => {
    const ran = await sh('fairlead doctor 2>&1');
    last = ran.output;
    return ran.code === code && expected.test(last);
  };
  await until(`the doctor says ${String(expected)}`, says, { ...WAIT, tell: () => last });
};

t.test('the doctor has no cross after an installation, and the status has numbers', async (t) => {
  await doctorSays(/^✓ service +fairlead\.service \(active\): its environment.*^ready: /ms, 0);
  const seen = await status();
  t.equal(seen.code, 0, seen.output);
  t.match(seen.output, /Fairlead 1\.0\.0 is ready.*since.*people.*0 with 0 connections/s);
});

t.test('the journal has a JSON line for each, under the name fairlead, with a priority', async (t) => {
  const lines = await journal('');
  t.ok(lines.length > 0);
  for (const { PRIORITY, SYSLOG_IDENTIFIER, MESSAGE } of lines) {
    t.equal(SYSLOG_IDENTIFIER, 'fairlead');
    const { level, msg } = JSON.parse(MESSAGE) as { level: number; msg: unknown };
    t.type(msg, 'string');
    t.equal(PRIORITY, level >= 50 ? '3' : level >= 40 ? '4' : '6', MESSAGE);
  }
  t.ok((await journal('-p 6..6')).some(({ MESSAGE }) => MESSAGE.includes('listening on http')));
});

t.test(
  'a Redis that is stopped is a cross with what to do, an error in the journal, and mends by itself',
  async (t) => {
    const told =
      /^✗ store +Redis at \S*127\.0\.0\.1:6379 does not answer.*\n +→ \S.*The server starts, and serves nobody until it is so$/m;
    await must('systemctl stop redis-server.service');
    await doctorSays(told, 1);
    await until(
      'the status says it',
      async () => /is not ready.*✗ .*(store|Redis)/s.test((await status()).output),
      WAIT,
    );
    // A look at the store says it at once; an outage begins when a thread finds it away.
    await until(
      'the journal has an error of it',
      async () => (await journal('-p 3')).some(({ MESSAGE }) => /Redis|store/.test(MESSAGE)),
      WAIT,
    );
    await must('systemctl start redis-server.service');
    t.match(await ready(), 'ready at http');
  },
);

t.test('a Docker that is stopped is a cross with what to do', async () => {
  await must(STOP_DOCKER);
  await doctorSays(/^✗ docker +.*\/var\/run\/docker\.sock.*\n +→ \S/m, 1);
  await must(START_DOCKER);
});

t.test('a disk that is full is a cross with what to do', async () => {
  await must('head -c 300M /dev/zero > /var/lib/fairlead/filler');
  await doctorSays(/^✗ disk +\d+ MiB free for the data folder \(\/var\/lib\/fairlead\)\n +→ make room/m, 1);
  await must('rm /var/lib/fairlead/filler');
});

t.test('an environment file that is gone, or that this account may not read, is a cross with what to do', async (t) => {
  const file = '/etc/fairlead/fairlead.env';
  await must(`mv ${file} /root/`);
  await doctorSays(/^✗ service +\/etc\/fairlead\/fairlead\.env cannot be read \(ENOENT\)\n +→ make it/m, 1);
  await must(`mv /root/fairlead.env ${file}`);
  const { code, output } = await sh('setpriv --reuid=nobody --regid=nogroup --clear-groups fairlead doctor 2>&1');
  t.equal(code, 1, output);
  t.match(output, /^✗ service +.*\n +→ .*sudo/m);
});

t.test('a wrong configuration ends with 78 and is not tried again; the journal has an error for it', async (t) => {
  await must(`cp -p ${CONFIG} /root/ && sed -i 's/"auth": {/"auth": { "support": "perhaps",/' ${CONFIG}`);
  t.not((await sh('systemctl restart fairlead.service')).code, 0);
  t.equal(await show('ActiveState'), 'failed');
  t.equal(await show('ExecMainStatus'), '78');
  t.equal(await show('NRestarts'), '0');
  t.match((await journal('-p 3 -n 1'))[0]?.MESSAGE, /auth\.support/);
  const seen = await status();
  t.equal(seen.code, 1);
  t.match(seen.output, /is not running.*exit status 78.*auth\.support.*journalctl/s);
  await doctorSays(/^✗ configuration +auth\.support: /m, 1);
  await must(`cp -p /root/fairlead.json ${CONFIG} && systemctl restart fairlead.service`);
  t.match(await ready(), 'ready at http');
});

t.test('a port that is taken is named, and the start is tried again until it is free', async (t) => {
  await must('systemctl stop fairlead.service');
  const listen = `require("net").createServer().listen(3000, "127.0.0.1")`;
  await must(`systemd-run --unit=taker /usr/bin/node -e '${listen}'`);
  const knock = `require("net").connect(3000, "127.0.0.1").on("connect", () => process.exit(0)).on("error", () => process.exit(1))`;
  await until('the port is taken', async () => (await sh(`node -e '${knock}'`)).code === 0, WAIT);
  const refused = await sh('fairlead service install --redis --no-image --from /shared/1.0.0 2>&1');
  t.equal(refused.code, 1);
  t.match(refused.output, /the port 3000 of 127\.0\.0\.1 cannot be used/);
  t.not((await sh('systemctl start fairlead.service')).code, 0);
  t.match((await journal('-p 3 -n 1'))[0]?.MESSAGE, /cannot listen on .*3000.*in use/);
  t.match((await sh('fairlead service status 2>&1')).output, /does not run: .*systemd tries again|is being started/);
  await until('another start', async () => Number(await show('NRestarts')) > 0, WAIT);
  await must('systemctl stop taker.service');
  t.match(await ready(), 'ready at http');
});

/** What an upgrade that failed must have left as it was. */
const state = async () => [
  await show('MainPID'),
  await must('readlink /opt/fairlead/current'),
  await must('ls -A /opt/fairlead /opt/fairlead/releases /etc/fairlead /etc/systemd/system'),
];

t.test('an upgrade for which there is no room changes nothing, and says how much it needs', async (t) => {
  t.match(await chat('write kept to notes.txt'), 'notes.txt');
  const before = await state();
  const used = Number((await must('df --output=used -B1 /opt')).split('\n')[1]);
  await must(`mount -o remount,size=${used + 10_000_000} /opt`);
  const { code, output } = await sh('fairlead service upgrade /shared/2.0.0.tar.gz --no-image 2>&1');
  t.equal(code, 1);
  t.match(output, /nothing was upgraded:\n.*releases has 1\d MB free, and the release needs \d+ MB/);
  t.same(await state(), before);
  await must('mount -o remount,size=1g /opt');
});

t.test(
  'a disk that fills while the new release is unpacked leaves nothing of it, and the old one serves',
  async (t) => {
    const before = await state();
    // Another program takes the room in the moment when the unpacking begins.
    const tar = [
      '#!/bin/sh',
      'case "$*" in *.new*) head -c "$(( $(df --output=avail -B1 /opt | tail -n 1) - 20000000 ))" /dev/zero > /opt/filler ;; esac',
      'exec /usr/bin/tar "$@"',
    ];
    await must(`printf '%s\n' ${tar.map((line) => `'${line}'`).join(' ')} > /usr/local/bin/tar`);
    await must('chmod 755 /usr/local/bin/tar');
    const { code, output } = await sh('fairlead service upgrade /shared/2.0.0.tar.gz --no-image 2>&1');
    t.equal(code, 1);
    t.match(
      output,
      /could not put the release 2\.0\.0 into .*No space left on device.*Everything is as it was before/s,
    );
    t.match(
      output,
      /A disk was full: make room and run it again\. The release needs \d+ MB in \/opt\/fairlead\/releases/,
    );
    await must('rm /opt/filler /usr/local/bin/tar');
    t.same(await state(), before);
    t.match(await chat('read notes.txt'), 'kept');
    const again = await sh('fairlead service upgrade /shared/2.0.0.tar.gz --no-image 2>&1');
    t.equal(again.code, 0, again.output);
    t.match(await chat('read notes.txt'), 'kept');
  },
);
