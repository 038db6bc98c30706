import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { readlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import type { RunningSandbox } from '../../../../workers/docker/driver/driver.js';
import { FAULT_META } from '../../../../workers/workspace/server.js';
import { SECCOMP_PROFILE } from '../../../../workers/docker/driver/seccomp-profile.js';
import { docker } from '../../../helpers/docker.js';
import { makeTinyImage } from '../../../helpers/tiny-image.js';
import { inside, LIMITS, MIB, run, sh, startBox, ToolLines } from './hardening/box.js';

t.setTimeout(120_000);

const NAMESPACES = ['ipc', 'mnt', 'net', 'pid', 'uts'];

async function volumes(): Promise<number> {
  return (await docker().listVolumes()).Volumes?.length ?? 0;
}

/** A script: busybox, copied there with the setuid bit, says who it is. */
function suid(path: string): string {
  return `cp /bin/busybox ${path} && chmod 4755 ${path} && ${path} id -u`;
}

async function namespaces(box: RunningSandbox): Promise<string[]> {
  const { stdout } = await sh(box, `for name in ${NAMESPACES.join(' ')}; do readlink /proc/self/ns/$name; done`);
  return stdout.trim().split('\n');
}

t.test('Docker says that nothing of the host is given', async (t) => {
  const box = await startBox(t);
  const { HostConfig: host, Mounts: mounts, NetworkSettings: network } = await docker().getContainer(box.id).inspect();
  t.same(
    mounts.filter(({ Type }) => Type !== 'tmpfs'),
    [],
  );
  t.same(Object.keys(network.Networks), ['none']);
  t.notOk(network.Networks['none']?.IPAddress);
  t.match(host, {
    Memory: LIMITS.memoryMb * MIB,
    MemorySwap: LIMITS.memoryMb * MIB,
    PidsLimit: LIMITS.pids,
    NanoCpus: LIMITS.cpus * 1e9,
    CpuShares: 256,
    UTSMode: '',
    UsernsMode: '',
    PublishAllPorts: false,
    OomScoreAdj: 500,
    SecurityOpt: ['no-new-privileges', `seccomp=${SECCOMP_PROFILE}`],
  });
  for (const key of ['Devices', 'DeviceRequests', 'DeviceCgroupRules', 'VolumesFrom', 'GroupAdd', 'Sysctls'] as const) {
    t.same((host as Record<string, unknown>)[key] ?? [], [], key);
  }
  t.notOk(host.OomKillDisable);
  t.match(host.Ulimits, [{ Name: 'nofile' }, { Name: 'core', Soft: 0, Hard: 0 }]);
  t.has(new Set(host.MaskedPaths), new Set(['/proc/kcore', '/proc/keys', '/proc/acpi', '/sys/firmware']));
  t.has(new Set(host.ReadonlyPaths), new Set(['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus']));
});

t.test('the kernel says the same of PID 1, of the server and of a program beside it', async (t) => {
  const box = await startBox(t);
  await ToolLines.open(box); // server and runner are there
  const pids = await sh(
    box,
    'for p in /proc/[0-9]*; do grep -qs -e ^/sbin/docker-init -e ^/opt/fairlead/ld $p/cmdline && echo ${p#/proc/}; done',
  );
  t.equal(pids.stdout.trim().split('\n').length, 3, 'PID 1, the server, the runner');
  for (const pid of [...pids.stdout.trim().split('\n'), 'self']) {
    const { stdout } = await sh(box, `cat /proc/${pid}/status /proc/${pid}/oom_score_adj`);
    const [, uid] = /^Uid:\t(19000\d{5})\t\1\t\1\t\1$/m.exec(stdout) ?? [];
    t.ok(uid, pid);
    t.match(stdout, new RegExp(`^Gid:\t${uid}\t${uid}\t${uid}\t${uid}$`, 'm'));
    t.match(stdout, new RegExp(`^Groups:\t(${uid})? *$`, 'm'));
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) t.match(stdout, new RegExp(`^Cap${set}:\t0{16}$`, 'm'));
    t.match(stdout, /^NoNewPrivs:\t1$/m);
    t.match(stdout, /^Seccomp:\t2$/m);
    t.match(stdout, /^500$/m);
  }
  t.match(await sh(box, 'cat /proc/1/comm'), { stdout: /init/ });
  const { stdout: mounts } = await sh(box, 'cat /proc/mounts');
  t.match(mounts, /^\S+ \/ \S+ ro,/m);
  t.match(mounts, /^tmpfs \/workspace tmpfs rw,nosuid,nodev,[^ ]*size=32768k/m);
  t.match(mounts, /^tmpfs \/tmp tmpfs rw,nosuid,nodev,noexec,[^ ]*size=16384k/m);
  t.match(mounts, /^tmpfs \/dev\/shm tmpfs rw,nosuid,nodev,noexec,[^ ]*size=16384k/m);
  const writable = mounts.split('\n').filter((line) => /^\S+ \S+ (ext4|xfs|btrfs|overlay|fuse\S*) rw/.test(line));
  t.same(writable, [], 'no disk of the host can be written');
  const { stdout: limits } = await sh(box, 'ulimit -Hn; ulimit -Sn; ulimit -Hc; ulimit -Sc');
  t.equal(limits, '4096\n4096\n0\n0\n');
});

t.test('files, disks, devices and processes of the host are out of reach', async (t) => {
  process.env['FAIRLEAD_TEST_SECRET'] = 'must-not-be-seen';
  t.teardown(() => delete process.env['FAIRLEAD_TEST_SECRET']);
  const box = await startBox(t);
  interface Looks {
    answers: Record<string, string>;
    found: string[];
    seen: { pid: number; command: string; environ?: string[] }[];
  }
  const { answers, found, seen } = await inside<Looks>(box, 'inside-files.js', String(process.pid));
  t.ok(Object.keys(answers).length > 25);
  for (const [name, answer] of Object.entries(answers)) {
    t.match(answer, /^(EROFS|EACCES|EPERM|ENOENT|ESRCH|EXDEV|EISDIR)$|(permission|not permitted|denied)/, name);
  }
  const own = ['socket /run/fairlead/runner.sock']; // between the server and the runner
  t.same(found, own, 'no other socket, no disk, setuid program or writable file of the kernel');
  t.same([...new Set(seen.map(({ command }) => command))].sort(), ['docker-init', 'ld', 'node']);
  t.notMatch(JSON.stringify(seen), /SECRET|ANTHROPIC|REDIS/);
  const readable = seen.filter(({ environ }) => environ !== undefined).map(({ command }) => command);
  t.same(readable, ['node'], 'this program alone, not our own processes');
});

t.test('the kernel refuses what could lead out', { skip: process.arch !== 'x64' && 'x86-64 programs' }, async (t) => {
  const box = await startBox(t);
  const answers = await inside<Record<string, string>>(box, 'inside-syscalls.js');
  const sound = ['getppid', 'shmget', 'socket_unix', 'socket_tcp', 'socket_udp6', 'socket_routes'];
  for (const name of sound) t.equal(answers[name], 'works', `${name}: the attacks themselves are sound`);
  const attacks = Object.entries(answers).filter(([name]) => !sound.includes(name));
  t.ok(attacks.length > 80);
  for (const [name, answer] of attacks) {
    // Calls by the 32-bit table are the end of the program that makes them.
    t.match(answer, name.startsWith('compat_') ? 'SIGSYS' : /^(EPERM|EACCES|ENOSYS)$/, name);
  }
});

t.test('nothing tells how the host was started, what disks it has, or whom it asks for names', async (t) => {
  const box = await startBox(t);
  for (const path of [
    'cmdline',
    'diskstats',
    'partitions',
    'modules',
    'swaps',
    'interrupts',
    'keys',
    'locks',
    'timer_list',
  ]) {
    t.equal((await sh(box, `cat /proc/${path}`)).stdout, '', path);
  }
  for (const folder of ['/proc/acpi', '/proc/driver', '/proc/fs', '/sys/firmware', '/sys/devices/virtual/dmi']) {
    t.match(await sh(box, `ls ${folder}`), { stdout: '' }, folder);
  }
  const { stdout } = await sh(box, 'cat /etc/resolv.conf');
  t.same(
    stdout.split('\n').filter((line) => /^(nameserver|search|domain)/.test(line)),
    ['nameserver 127.0.0.1'],
  );
});

t.test('nothing outside is reached by TCP, UDP, a name or an abstract socket', async (t) => {
  let reached = 0;
  const tcp = createServer((socket) => {
    reached++;
    socket.destroy();
  }).listen(0, '::');
  t.teardown(() => tcp.close());
  const udp = createSocket('udp6', () => reached++).bind(0, '::');
  t.teardown(() => udp.close());
  const name = `fairlead-test-${randomUUID()}`;
  const abstract = createServer(() => reached++).listen(`\0${name}`);
  t.teardown(() => abstract.close());
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening'), once(abstract, 'listening')]);
  const host = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = host.filter(({ address }) => !address.startsWith('fe80:')).map(({ address }) => address);
  const ports = { tcp: (tcp.address() as AddressInfo).port, udp: udp.address().port };
  const addresses = [
    ...own.map((host) => ({ host, ...ports })),
    ...['8.8.8.8', '169.254.169.254', '172.17.0.1'].map((host) => ({ host, tcp: 80, udp: 53 })),
  ];
  const shims = [name, 'containerd-shim', '/containerd-shim/moby/shim.sock'];
  const box = await startBox(t);
  const { answers, interfaces } = await inside<{ answers: Record<string, string>; interfaces: string[] }>(
    box,
    'inside-network.js',
    JSON.stringify({ addresses, abstract: shims }),
  );
  t.same(interfaces, ['lo']);
  for (const [target, answer] of Object.entries(answers)) {
    if (/^udp (127\.|::1)/.test(target)) continue; // its own loopback takes it, and nobody is there
    t.match(answer, /^(ENETUNREACH|ECONNREFUSED|EADDRNOTAVAIL|ENOTFOUND|EAI_AGAIN)$/, target);
  }
  t.equal(reached, 0);
});

t.test('a program with the setuid bit gives no root, and what lies in /tmp or /dev/shm does not run', async (t) => {
  const box = await startBox(t);
  t.match(await sh(box, suid('/workspace/busybox')), { code: 0, stdout: /^19000\d{5}\n$/ });
  t.not((await sh(box, '/workspace/busybox su -c id root')).code, 0);
  t.match(await sh(box, suid('/tmp/busybox')), { code: 126, stdout: '', stderr: /denied/ });
  t.match(await sh(box, suid('/dev/shm/busybox')), { code: 126, stdout: '', stderr: /denied/ });
});

const FOLDERS = ['/workspace', '/tmp', '/dev/shm'];

t.test('folders filled to the brim are ENOSPC; the server lives, and what was written stays', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  await sh(box, 'echo kept > /workspace/notes.txt');
  // All at once, and first with as many files as fit: an empty file has no size, and costs the kernel memory all the same.
  const long = 'n'.repeat(200);
  const entries = `const { writeFileSync } = require('node:fs'); let n = 0;
    try { for (;;) writeFileSync(process.argv[1] + '/' + n++ + '${long}', ''); } catch (error) { console.log(error.code, n); }`;
  for (const folder of FOLDERS) t.match((await run(box, ['node', '-e', entries, folder])).stdout, /^ENOSPC \d+\n$/);
  await sh(box, `for folder in ${FOLDERS.join(' ')}; do rm $folder/0*; done`);
  for (const folder of FOLDERS) {
    const filled = await sh(box, `dd if=/dev/zero of=${folder}/full bs=64k; wc -c < ${folder}/full`);
    t.match(filled.stderr, /No space left/, folder);
    t.ok(Number(filled.stdout) > 8 * MIB, `${folder} took ${filled.stdout} bytes`);
  }
  t.notOk((await tools.call('list_files', { path: '.' })).isError);
  t.match(await tools.call('read_file', { path: 'notes.txt' }), { content: [{ text: /kept/ }] });
  const ran = await tools.call('run_command', { command: 'node -e "Buffer.alloc(8e6, 1)" && wc -c < full' });
  t.match(ran.content?.map(({ text }) => text).join(), /exit code 0/, 'programs still run');
});

t.test('the volumes of an image are bounded memory of the sandbox, and no folder on the host', async (t) => {
  const image = await makeTinyImage('exec cat', 'VOLUME /data/ /workspace/cache /tmp');
  t.teardown(() => image.remove());
  const before = await volumes();
  const box = await startBox(t, image.tag);
  const { Mounts: mounts, HostConfig: host } = await docker().getContainer(box.id).inspect();
  t.same(mounts, []);
  t.equal(host.Memory, (LIMITS.memoryMb + 3 * (LIMITS.tmpMb + 3)) * MIB, 'full volumes leave the rest its memory');
  for (const folder of ['/data', '/workspace/cache', '/tmp']) {
    const { stdout, stderr } = await sh(
      box,
      `dd if=/dev/zero of=${folder}/full bs=64k; head -c 9 ${folder}/full | tr '\\0' x`,
    );
    t.match(stderr, /No space left/, folder);
    t.equal(stdout, 'xxxxxxxxx');
  }
  t.equal(await volumes(), before);

  const many = await makeTinyImage('exec cat', `VOLUME ${Array.from({ length: 9 }, (_, n) => `/v${n}`).join(' ')}`);
  t.teardown(() => many.remove());
  await t.rejects(startBox(t, many.tag), { code: 'ERR_SANDBOX', message: /declares 9 volumes: at most 8/ });
});

t.test('an image’s health check is not run', async (t) => {
  const image = await makeTinyImage('exec cat', 'HEALTHCHECK --interval=1s CMD touch /tmp/ran');
  t.teardown(() => image.remove());
  const box = await startBox(t, image.tag);
  t.equal((await docker().getContainer(box.id).inspect()).State.Health, undefined);
});

t.test('used-up descriptors are errors of the program that does it', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const opener = `const { openSync } = require('node:fs'); let n = 0; try { for (;;) { openSync('/dev/null'); n++; } }
    catch (error) { console.log(error.code, n); }`;
  const { stdout } = await run(box, ['node', '-e', opener]);
  t.match(stdout, /^EMFILE (40[0-9]{2})\n$/);
  t.notOk((await tools.call('list_files', { path: '.' })).isError);
});

t.test('a command that the kernel kills for its memory says so to the model, and others do not', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const said = async (command: string): Promise<string> =>
    (await tools.call('run_command', { command })).content?.map(({ text }) => text).join('\n') ?? '';
  t.match(await said('tail /dev/zero'), /\[out of memory: .*Files in \/workspace, \/tmp and \/dev\/shm count/);
  t.notMatch(await said('kill -9 $$'), /out of memory/);
});

t.test(
  'many small programs that use the memory up are killed before the server and the runner, which are larger',
  async (t) => {
    const box = await startBox(t);
    const tools = await ToolLines.open(box);
    await tools.call('write_file', { path: 'kept', content: 'kept' });
    const killed = 'grep -qs "^oom_kill [1-9]" /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control';
    const command = `for i in $(seq 16); do (head -c 16000000 /dev/zero; sleep 600) | tail -c 16000000 > /dev/null & done
    until ${killed}; do sleep 0.1; done; kill -9 0`;
    const { content, _meta: meta } = await tools.call('run_command', { command });
    t.equal(meta?.[FAULT_META], undefined);
    t.match(content?.map(({ text }) => text).join('\n'), /\[out of memory/);
    t.match(await tools.call('read_file', { path: 'kept' }), { content: [{ text: /kept/ }] });
  },
);

t.test('links out of the workspace lead nowhere, not even to a file that all may read', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  t.match(await sh(box, 'ln -s /etc/passwd /workspace/link; ln -s / /workspace/root'), { code: 0 });
  t.match(await sh(box, 'ln /etc/passwd /workspace/hard'), { code: 1 });
  for (const path of ['link', 'root/etc/passwd', 'root/proc/1/environ']) {
    for (const [tool, args] of [['read_file', { path }] as const, ['write_file', { path, content: 'x' }] as const]) {
      const { isError, _meta: meta } = await tools.call(tool, args);
      t.match({ isError, fault: meta?.[FAULT_META] }, { isError: true, fault: 'OUTSIDE_WORKSPACE' }, `${tool} ${path}`);
    }
  }
});

t.test('of another session’s sandbox nothing is to be seen', async (t) => {
  const [a, b] = await Promise.all([startBox(t), startBox(t)]);
  const mark = randomUUID();
  for (const folder of ['/workspace', '/tmp', '/dev/shm', '/dev/mqueue']) await sh(a, `touch ${folder}/${mark}`);
  const listen = `const net = require('node:net'); const say = () => console.log('listening');
    net.createServer().listen('\\x00${mark}', () => net.createServer().listen(4242, '127.0.0.1', say));`;
  const { signal } = new AbortController();
  const server = await a.exec(['node', '-e', listen, mark], signal);
  server.stderr.resume();
  await once(server.stdout, 'data');
  const looks = {
    files: `find / -name ${mark} 2>/dev/null`,
    processes: `ps | grep -v -e grep -e 'sh -c' | grep ${mark}`,
    sockets: `grep ${mark} /proc/net/unix`,
    ...(process.arch === 'x64' && { memory: 'grep 4660 /proc/sysvipc/shm' }),
  };
  if ('memory' in looks) await inside(a, 'inside-syscalls.js', 'shmget');
  for (const [name, look] of Object.entries(looks)) {
    const ran = await sh(a, look);
    t.match(ran, { stdout: /./ }, `${name} of one's own: ${JSON.stringify(ran)}`);
    t.equal((await sh(b, look)).stdout, '', name);
  }
  const { answers } = await inside<{ answers: Record<string, string> }>(
    b,
    'inside-network.js',
    JSON.stringify({ addresses: [{ host: '127.0.0.1', tcp: 4242, udp: 4242 }], abstract: [mark] }),
  );
  t.match(answers, { 'tcp 127.0.0.1': 'ECONNREFUSED', [`abstract ${mark}`]: 'ECONNREFUSED' });
  const [ofA, ofB] = await Promise.all([namespaces(a), namespaces(b)]);
  for (const [i, name] of NAMESPACES.entries()) {
    t.not(ofA[i], ofB[i], name);
    t.not(ofA[i], readlinkSync(`/proc/self/ns/${name}`), name);
  }
});
