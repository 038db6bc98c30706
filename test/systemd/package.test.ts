/** The Debian package's life on a machine with systemd, as an operator leads it with apt. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import t from 'tap';
import { makePackages } from '../helpers/debian-package.js';
import { docker } from '../helpers/docker.js';
import { startDockerd } from '../helpers/dockerd.js';
import { bootSystemd } from '../helpers/systemd-machine.js';

/** A package is made and a machine boots, beside other tests. */
t.setTimeout(900_000);

const shared = await mkdtemp(join(tmpdir(), 'fl-packages-'));
t.teardown(() => rm(shared, { recursive: true, force: true }));
const [one, two] = (await makePackages(shared, '1.0.0', '1.1.0')).map((path) => `/shared/${basename(path)}`) as [
  string,
  string,
];
const dockerd = await startDockerd();
t.teardown(() => dockerd.stop());
const machine = await bootSystemd(dockerd.host, shared, { dpkg: true });
t.teardown(() => machine.stop());
const { sh, must } = machine;

const apt = (args: string) => sh(`DEBIAN_FRONTEND=noninteractive apt-get -q -y ${args} 2>&1`);
const show = async (property: string): Promise<string> =>
  (await must(`systemctl show fairlead.service --property=${property} --value`)).trim();
const ready = async (): Promise<string> => (await sh('fairlead service status --wait 120 2>&1')).output;
/** All that a package may leave: files of /etc, of /usr as this machine has changed it, and of /var but for apt's own. */
const files = async (): Promise<string[]> => {
  const own = '-path "*/dpkg/*" -o -path "/var/*/apt/*" -o -path "/var/log/*" -o -path "*/systemd/timers/*"';
  const found = await must(`find /etc /mnt/upper /var /usr/local -not -type d -not \\( ${own} \\) | sort`);
  return found.split('\n').filter((line) => !/^\/etc\/\.pwd\.lock$|^\/etc\/\w+-$|^\/etc\/sub[ug]id$/.test(line));
};
const before = await files();
let session = '';

/** Asks as root does, who may read the token of the data folder. */
const chat = async (text: string): Promise<string> => {
  const known = session === '' ? '' : `--session ${session}`;
  const { output } = await sh(`echo '${text}' | fairlead chat --yes ${known} 2>&1`);
  session ||= /session ([\w-]+)/.exec(output)?.[1] ?? '';
  return output;
};

t.test('apt installs it: the service is ready, starts with the machine, and has a sandbox for a tool', async (t) => {
  const { code, output } = await apt(`install ${one}`);
  t.equal(code, 0, output);
  t.notMatch(output, /flt_|[0-9a-f]{64}/, 'apt keeps what is printed');
  t.match(await ready(), /^Fairlead 1\.0\.0 runs since .*: ready at http:\/\/127\.0\.0\.1:3000\n$/);
  t.equal(await show('UnitFileState'), 'enabled');
  t.match(await chat('write kept to notes.txt'), /notes\.txt/);
});

t.test('systemctl reload has the file count, or names what is wrong and changes nothing', async (t) => {
  const pid = await show('MainPID');
  const file = '/etc/fairlead/fairlead.json';
  await must(`cp -p ${file} /root/ && sed -i 's/"sandbox": {/"auth": { "support": "perhaps" }, "sandbox": {/' ${file}`);
  const refused = await sh('systemctl reload fairlead.service 2>&1');
  t.not(refused.code, 0);
  t.match(await must('journalctl -u fairlead -o cat --no-pager -n 50'), /auth\.support/);
  await must(`cp -p /root/fairlead.json ${file}`);
  t.same(await sh('systemctl reload fairlead.service 2>&1'), { code: 0, output: '' });
  t.equal(await show('MainPID'), pid);
});

t.test('an upgrade replaces the program; configuration, key and conversation stay', async (t) => {
  const kept = await must('sha256sum /etc/fairlead/*');
  const { code, output } = await apt(`install ${two}`);
  t.equal(code, 0, output);
  t.match(await ready(), /^Fairlead 1\.1\.0 runs .*: ready/);
  t.equal((await must('fairlead --version')).trim(), '1.1.0');
  t.equal(await must('sha256sum /etc/fairlead/*'), kept);
  t.match(await chat('read notes.txt'), 'kept');
});

t.test('the older package is the way back, and starts no service that was switched off', async (t) => {
  await must('systemctl disable --now fairlead.service');
  const { code, output } = await apt(`install --allow-downgrades ${one}`);
  t.equal(code, 0, output);
  t.equal(await show('ActiveState'), 'inactive');
  t.equal(await show('UnitFileState'), 'disabled');
  await must('systemctl enable --now fairlead.service');
  t.match(await ready(), /^Fairlead 1\.0\.0 runs .*: ready/);
  t.match(await chat('read notes.txt'), 'kept');
});

t.test('remove ends the service and keeps what is the operator’s; an installation goes on with it', async (t) => {
  const kept = await must('sha256sum /etc/fairlead/*');
  const { code, output } = await apt('remove fairlead');
  t.equal(code, 0, output);
  t.equal(await show('ActiveState'), 'inactive');
  t.same(await docker(dockerd.host).listContainers({ all: true, filters: { label: ['fairlead.instance'] } }), []);
  t.equal(await must('sha256sum /etc/fairlead/*'), kept);
  t.equal((await apt(`install ${two}`)).code, 0);
  t.match(await ready(), /^Fairlead 1\.1\.0 runs .*: ready/);
  t.match(await chat('read notes.txt'), 'kept');
});

t.test('purge takes everything, also the containers of a server that was killed', async (t) => {
  t.match(await chat('read notes.txt'), 'kept', 'a sandbox runs');
  await must('systemctl kill --signal=KILL fairlead.service && systemctl stop fairlead.service');
  const { code, output } = await apt('purge fairlead');
  t.equal(code, 0, output);
  t.same(await files(), before);
  t.notMatch(await must('cat /etc/passwd /etc/group'), 'fairlead');
  t.equal(await show('LoadState'), 'not-found');
  const engine = docker(dockerd.host);
  t.same(await engine.listContainers({ all: true, filters: { label: ['fairlead.instance'] } }), []);
  t.same(await engine.listImages({ filters: { reference: ['fairlead/workspace'] } }), []);
});
