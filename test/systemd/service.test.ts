import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { buildImage } from '../../src/cli/image/image.js';
import { docker } from '../helpers/docker.js';
import { startDockerd } from '../helpers/dockerd.js';
import { copyRelease, makeRelease, packRelease, patch } from '../helpers/release-folder.js';
import { bootSystemd } from '../helpers/systemd-machine.js';
import { until } from '../helpers/until.js';

/** A machine boots, twice, beside other tests. */
t.setTimeout(1_200_000);
const WAIT = { timeoutMs: 180_000 };

const shared = await mkdtemp(join(tmpdir(), 'fl-releases-'));
t.teardown(() => rm(shared, { recursive: true, force: true }));
const [one, two, three] = ['1.0.0', '2.0.0', '3.0.0'].map((version) => join(shared, version)) as [
  string,
  string,
  string,
];
await mkdir(one);
await makeRelease(one, '1.0.0');
await copyRelease(one, two, '2.0.0');
await packRelease(two);
await copyRelease(one, three, '3.0.0');
await patch(join(three, 'dist/src/boot/service-manager.js'), (text) =>
  text.replace('service.readiness()', "({ ready: false, reasons: ['a part of 3.0.0 is missing'] })"),
);

const dockerd = await startDockerd();
t.teardown(() => dockerd.stop());
await buildImage({ tag: 'fairlead/workspace', local: true, docker: docker(dockerd.host), log: () => undefined });
const machine = await bootSystemd(dockerd.host, shared);
t.teardown(() => machine.stop());
const { sh, must } = machine;

/** All that is on the machine, apart from what its own programs write. */
const files = async (): Promise<string[]> =>
  (
    await must(
      'find /etc /opt /usr/local /var/lib /home -not -path "/var/lib/systemd/*" -not -path "/var/lib/redis/*" | sort',
    )
  )
    .split('\n')
    .filter((line) => !/^\/etc\/\.pwd\.lock$|^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-?$/.test(line));
const show = async (property: string): Promise<string> =>
  (await must(`systemctl show fairlead.service --property=${property} --value`)).trim();
const status = async (): Promise<string> => (await sh('fairlead service status --wait 120 2>&1')).output;
const state = async () => [
  await show('MainPID'),
  await must('sha256sum /etc/fairlead/* /etc/redis/redis.conf'),
  await files(),
];
const before = await files();
let token = '';
let session = '';

/** Asks as a user would, and returns all that the chat shows. */
const chat = async (text: string): Promise<string> => {
  const { output } = await sh(
    `echo '${text}' | fairlead chat --yes --token ${token} ${session === '' ? '' : `--session ${session}`} 2>&1`,
  );
  session ||= /session ([\w-]+)/.exec(output)?.[1] ?? '';
  return output;
};

t.test('a dry run prints the commands and changes nothing', async (t) => {
  const { code, output } = await sh('/shared/1.0.0/systemd/fairlead service install --redis --dry-run');
  t.equal(code, 0, output);
  t.ok(output.includes('useradd --system'));
  t.ok(output.includes('systemctl restart fairlead.service'));
  t.same(await files(), before);
});

t.test('one command from an empty machine to a service that is ready, with a token for a conversation', async (t) => {
  const { code, output } = await sh(
    '/shared/1.0.0/systemd/fairlead service install --redis --no-image --admin ada 2>&1',
  );
  t.equal(code, 0, output);
  token = /^flt_\S+$/m.exec(output)?.[0] ?? '';
  t.not(token, '');
  t.match(output, /Fairlead 1\.0\.0 runs since .*: ready at http:\/\/127\.0\.0\.1:3000/);
  t.equal(await show('StatusText'), 'Fairlead 1.0.0: ready at http://127.0.0.1:3000');
  t.match(await must('fairlead status'), /people +0 with 0 connections/, 'root’s own commands have a credential');
  t.match(await must('fairlead reload'), 'nothing has changed');
  t.match(
    await must('stat -c "%n %a %U %G" /etc/fairlead /etc/fairlead/* /var/lib/fairlead'),
    [
      '/etc/fairlead 750 root fairlead',
      '/etc/fairlead/admin.env 600 root root',
      '/etc/fairlead/fairlead.env 600 root root',
      '/etc/fairlead/fairlead.json 640 root fairlead',
      '/var/lib/fairlead 700 fairlead fairlead',
    ].join('\n'),
  );
  t.match(await must('redis-cli config get appendonly'), 'yes');
  t.match(await chat('write kept to notes.txt'), /notes\.txt/, 'a tool ran in a sandbox');
});

t.test('a second installation changes nothing, and the service is not restarted', async (t) => {
  const first = await state();
  const { code, output } = await sh('fairlead service install --redis --no-image --from /shared/1.0.0 2>&1');
  t.equal(code, 0, output);
  t.notMatch(output, 'flt_');
  t.same(await state(), first);
});

t.test(
  'a reload changes what counts without a restart; with one error nothing changes, and the error is named',
  async (t) => {
    const pid = await show('MainPID');
    const file = '/etc/fairlead/fairlead.json';
    await must(`cp -p ${file} /root/ && sed -i 's/"auth": {/"auth": { "support": "perhaps",/' ${file}`);
    const refused = await sh('systemctl reload fairlead.service 2>&1');
    t.not(refused.code, 0);
    t.match(await must('journalctl -u fairlead -o cat --no-pager -n 50'), /auth\.support/);
    t.match(await chat('read notes.txt'), 'kept', 'the server goes on as it was');
    await must(`cp -p /root/fairlead.json ${file} && sed -i 's/"user": "ada"/"user": "eve"/' ${file}`);
    t.same(await sh('systemctl reload fairlead.service 2>&1'), { code: 0, output: '' });
    t.notMatch(await chat('read notes.txt'), 'kept', 'the token is another user’s now');
    await must(`cp -p /root/fairlead.json ${file} && systemctl reload fairlead.service`);
    t.match(await chat('read notes.txt'), 'kept');
    t.equal(await show('MainPID'), pid);
  },
);

t.test('a wrong configuration ends with 78, is not tried again, and the status says what is wrong', async (t) => {
  await must('cp -p /etc/fairlead/fairlead.json /root/ && echo "{ half" > /etc/fairlead/fairlead.json');
  t.not((await sh('systemctl restart fairlead.service')).code, 0);
  t.equal(await show('ExecMainStatus'), '78');
  t.equal(await show('ActiveState'), 'failed');
  const { code, output } = await sh('fairlead service status 2>&1');
  t.equal(code, 3);
  t.match(output, /configuration is wrong.*is not JSON/s);
  const refused = await sh('fairlead service install --no-image --from /shared/1.0.0 2>&1');
  t.equal(refused.code, 1);
  t.match(refused.output, /nothing was installed:\n.*is not JSON/);
  await must('cp -p /root/fairlead.json /etc/fairlead/ && systemctl restart fairlead.service');
  t.match(await status(), 'ready');
});

t.test('a server that is killed, or hangs, is there again by itself', async (t) => {
  const again = async (kill: string): Promise<void> => {
    const pid = await show('MainPID');
    t.ok(Number(pid) > 0);
    await must(kill.replace('PID', pid));
    await until('another process', async () => !['0', pid].includes(await show('MainPID')), WAIT);
    t.match(await status(), '1.0.0 runs', kill);
  };
  await again('kill -9 PID');
  // The operator's own changes stand in a drop-in.
  await must('mkdir -p /etc/systemd/system/fairlead.service.d');
  await must('printf "[Service]\\nWatchdogSec=10\\n" > /etc/systemd/system/fairlead.service.d/mine.conf');
  await must('systemctl daemon-reload && systemctl restart fairlead.service');
  await again('kill -STOP PID');
  t.match(await must('journalctl -u fairlead -o cat --no-pager'), /[Ww]atchdog timeout/);
});

t.test('after a reboot the service is there, and the conversation with its files', async (t) => {
  await machine.reboot();
  t.match(await status(), 'ready');
  t.match(await chat('read notes.txt'), 'kept');
});

t.test('a backup of the running service brings back what is lost, for its account', async (t) => {
  const file = '/root/backup.tar.gz';
  const made = await sh(`fairlead backup --with-secrets ${file} 2>&1`);
  t.equal(made.code, 0, made.output);
  t.equal((await must(`stat -c "%a %U" ${file}`)).trim(), '600 root');
  t.match(await must(`fairlead backup verify ${file}`), /is whole: .*keys of Redis; with keys/);
  const configuration = await must(`tar -xzOf ${file} config/fairlead.json config/fairlead.env`);
  t.match(configuration, /"ada".*FAIRLEAD_SECRET_KEYS=[0-9a-f]{64}/s);
  const refused = await sh(`fairlead restore --force ${file} 2>&1`);
  t.equal(refused.code, 1);
  t.match(refused.output, 'a server uses /var/lib/fairlead: stop it first');
  await must('systemctl stop fairlead.service && redis-cli flushall && rm -r /var/lib/fairlead/workspaces');
  const restored = await sh(`fairlead restore --force ${file} 2>&1`);
  t.equal(restored.code, 0, restored.output);
  t.equal(await must('find /var/lib/fairlead ! -user fairlead'), '');
  await must('systemctl start fairlead.service');
  t.match(await status(), 'ready');
  t.match(await chat('read notes.txt'), 'kept');
});

t.test('an upgrade switches to the new release, and the conversation goes on', async (t) => {
  const { code, output } = await sh('fairlead service upgrade /shared/2.0.0.tar.gz --no-image 2>&1');
  t.equal(code, 0, output);
  t.match(output, 'Fairlead 2.0.0 runs');
  t.equal((await must('fairlead --version')).trim(), '2.0.0');
  t.match(await chat('read notes.txt'), 'kept');
  t.match(await must('ls /etc/systemd/system/fairlead.service.d'), 'mine.conf');
});

t.test('a release that is not ready in time is taken back, with its words', async (t) => {
  const { code, output } = await sh('fairlead service upgrade /shared/3.0.0 --no-image --wait 5 2>&1');
  t.equal(code, 1);
  t.match(output, /could not wait until 3\.0\.0 is ready: .*a part of 3\.0\.0 is missing/s);
  t.match(output, 'Everything is as it was before');
  t.match(await status(), /2\.0\.0 runs .*ready/s);
  t.same((await must('ls -A /opt/fairlead/releases')).trim().split('\n'), ['1.0.0', '2.0.0']);
  t.match(await chat('read notes.txt'), 'kept');
});

t.test('a tarball that is cut ends an upgrade before it begins; a version that is there is a way back', async (t) => {
  await must('mkdir -p /tmp/cut && head -c 1000000 /shared/2.0.0.tar.gz > /tmp/cut/4.tar.gz');
  const cut = await sh('fairlead service upgrade /tmp/cut/4.tar.gz --no-image 2>&1');
  t.equal(cut.code, 1);
  t.match(cut.output, 'no release of Fairlead');
  const back = await sh('fairlead service upgrade 1.0.0 --no-image 2>&1');
  t.equal(back.code, 0, back.output);
  t.match(await status(), '1.0.0 runs');
});

t.test('uninstall keeps data and configuration, --purge keeps nothing, and both may run again', async (t) => {
  t.equal((await sh('fairlead service uninstall 2>&1')).code, 0);
  t.notOk((await files()).some((name) => name.startsWith('/opt/fairlead')));
  await must('test -f /etc/fairlead/fairlead.json && test -d /var/lib/fairlead');
  const ours = { label: ['fairlead.instance'] };
  t.same(await docker(dockerd.host).listContainers({ all: true, filters: ours }), []);
  for (let times = 0; times < 2; times++) {
    const { code, output } = await sh('/shared/1.0.0/systemd/fairlead service uninstall --purge 2>&1');
    t.equal(code, 0, output);
  }
  t.same(await files(), before);
  t.notMatch(await must('cat /etc/passwd /etc/redis/redis.conf'), 'fairlead');
});
