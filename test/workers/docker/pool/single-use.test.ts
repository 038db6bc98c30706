import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { createLog } from '../../../../src/shared/log.js';
import { Archives } from '../../../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import { SandboxManager } from '../../../../workers/docker/sandbox-manager.js';
import { commandUser, containersOf, docker, dockerHost, WORKSPACE_IMAGE } from '../../../helpers/docker.js';
import { SandboxPort } from '../../../helpers/sandbox-port.js';
import { makeTinyImage, tinyServer } from '../../../helpers/tiny-image.js';
import { settled } from '../driver/docker-events.js';

const log = createLog('test', 'silent');

interface Opened {
  instance: string;
  sandboxes: SandboxManager;
  lease: (session: string) => Promise<{ sandbox: string; port: SandboxPort }>;
}

function open(t: Test, sandbox: Record<string, unknown>, image = WORKSPACE_IMAGE): Opened {
  const instance = randomUUID();
  const settings = { workspaceMb: 16, memoryMb: 256, ...sandbox };
  const config = parseConfig(
    { mcpServers: { workspace: { image } }, sandbox: settings },
    { DOCKER_HOST: dockerHost() },
  );
  const driver = new DockerDriver(config, instance, log);
  const archives = new Archives({ folder: t.testdir(), maxBytes: 32 * 1_048_576, timeoutMs: 20_000, log });
  const sandboxes = new SandboxManager({ config, instance, driver, archives, log });
  sandboxes.open();
  t.teardown(() => sandboxes.close());
  return {
    instance,
    sandboxes,
    lease: async (session) => {
      const port = new SandboxPort();
      t.teardown(() => port.close());
      const { sandbox } = await sandboxes.lease({ session, server: 'workspace', port: port.far });
      return { sandbox, port };
    },
  };
}

/** As a person's command would run: the sandbox's user, its limits. */
async function run(id: string, script: string): Promise<string> {
  const exec = await docker()
    .getContainer(id)
    .exec({ Cmd: ['sh', '-c', script], User: await commandUser(id), AttachStdout: true, AttachStderr: true });
  const socket = await exec.start({});
  const out = new PassThrough();
  docker().modem.demuxStream(socket, out, out);
  socket.once('end', () => out.end());
  return text(out);
}

/** Something in every place that a session can reach. */
const DIRTY = `
echo secret > /workspace/file; mkdir -p /workspace/.hidden/deep; ln -s /etc/passwd /workspace/link
echo secret > /tmp/file; echo secret > /dev/shm/file; mkfifo /tmp/pipe; echo '#!/bin/sh' > /workspace/node; chmod 755 /workspace/node
ulimit -n 64; umask 000; export LEFT=behind
nohup sleep 4711 > /dev/null 2>&1 &
nohup sh -c 'while :; do nc -l -p 8099; done' > /dev/null 2>&1 &
(nohup setsid sleep 4712 > /dev/null 2>&1 &)
sleep 0.2; echo dirty`;

const LOOK = `
find /workspace /tmp /dev/shm /run /var/tmp -mindepth 1 ! -path '/run/fairlead*' 2>/dev/null
for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null; echo; done | grep -E '[s]leep 47|[n]c -l'
grep -s '[L]EFT' /proc/1/environ
grep -E ' 0A ' /proc/net/tcp /proc/net/tcp6
grep 'open files' /proc/1/limits | grep -v 4096
exit 0`;

t.test('single use: the next session gets another container, and finds nothing of the last one', async (t) => {
  const { sandboxes, lease, instance } = open(t, { pool: { min: 1 } });
  const first = await lease('one');
  t.match(await run(first.sandbox, DIRTY), /dirty/);
  t.match(await run(first.sandbox, LOOK), /secret|file/);
  await sandboxes.release(first.sandbox);
  const second = await lease('two');
  t.not(second.sandbox, first.sandbox);
  t.equal((await run(second.sandbox, LOOK)).trim(), '');
  t.notOk((await containersOf(`fairlead.instance=${instance}`)).some(({ id }) => id === first.sandbox));
});

t.test('reset: the same container comes back, and the next session finds nothing of the last one', async (t) => {
  const { sandboxes, lease } = open(t, { reuse: 'reset', pool: { min: 1, max: 1, maxStarting: 1 } });
  await settled(() => sandboxes.count('warm') === 1);
  const first = await lease('one');
  t.match(await run(first.sandbox, DIRTY), /dirty/);
  const before = await docker().getContainer(first.sandbox).inspect();
  await sandboxes.release(first.sandbox);
  const after = await docker().getContainer(first.sandbox).inspect();
  t.not(after.State.StartedAt, before.State.StartedAt);
  await settled(() => sandboxes.count('starting') === 0);
  // All warm ones are leased, and the used one is among them.
  const next = await Promise.all([lease('two'), lease('three')]);
  t.ok(next.some(({ sandbox }) => sandbox === first.sandbox));
  for (const { sandbox } of next) t.equal((await run(sandbox, LOOK)).trim(), '', sandbox);
});

t.test('reset: a container that differs from an unused one is destroyed', async (t) => {
  // It leaves something behind at each start that was not there at the first one.
  const image = await makeTinyImage(
    `date +%s%N > /tmp/started 2>/dev/null; echo $$ > /tmp/$(tr -dc a-z < /dev/urandom | head -c 8); ${tinyServer('echo "$line"')}`,
  );
  t.teardown(() => image.remove());
  const { sandboxes, lease, instance } = open(t, { reuse: 'reset', pool: { min: 0, max: 0 } }, image.tag);
  const { sandbox } = await lease('one');
  await sandboxes.release(sandbox);
  t.equal((await containersOf(`fairlead.instance=${instance}`)).length, 0);
});
