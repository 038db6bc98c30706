/** Deaths at bad moments: between two calls for want of memory, in the middle of a save, in a flood; and of a shared sandbox. */
import { existsSync } from 'node:fs';
import { watch, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCommandStack, type CommandStack } from '../helpers/commands.js';
import { docker, WORKSPACE_IMAGE } from '../helpers/docker.js';
import { printAsServer, serverPid } from '../helpers/inside.js';
import { tool } from '../helpers/model-server.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(900_000); // whole processes, on a machine that may be busy

const WAIT_MS = 120_000;
const WAIT = { timeoutMs: WAIT_MS };
const MIB = 1_048_576;
const LARGE = 100_000_000;
const FILL = `head -c ${LARGE} /dev/urandom > large`;

async function open(t: Test, sandbox: object, more: object = {}): Promise<CommandStack> {
  const config = { sandbox: { hibernateAfterMs: 0, pool: { min: 1, max: 1 }, ...sandbox }, ...more };
  const stack = await startCommandStack(config, (said) =>
    said === 'look' ? tool('list_files', { path: '/workspace' }) : undefined,
  );
  t.teardown(() => stack.stop());
  return stack;
}

/** The id of the session's newest container. */
async function boxOf(stack: CommandStack, session: string): Promise<string> {
  return (await stack.leasedTo(session)).at(-1)?.id ?? '';
}

/** Resolves when the session's save is there, or begins to be written: with `.tmp`. */
async function saveOf({ engine }: CommandStack, session: string, suffix = ''): Promise<void> {
  const name = `${session}~workspace.tar.lz4${suffix}`;
  const changes = watch(join(engine.dataDir, 'workspaces'), { signal: AbortSignal.timeout(WAIT_MS) });
  for await (const { filename } of changes) if (filename === name) return;
}

/** The next result says it, and the one after it does not. */
async function saysOnce(
  t: Test,
  stack: CommandStack,
  client: TestClient,
  what: RegExp,
  command: string,
): Promise<string> {
  const said = await stack.run(client, command);
  t.match(said, what);
  t.notMatch(await stack.run(client, 'echo again'), /lost/);
  return said;
}

t.test(
  'out of memory between two calls, the kernel kills the server: its session and the model are told',
  async (t) => {
    const stack = await open(t, { workspaceMb: 16, tmpMb: 4, shmMb: 4, memoryMb: 128 });
    const client = await stack.talker(t);
    await stack.run(client, 'echo unsaved > file.txt');
    const box = await boxOf(stack, (await client.ready).session);
    const server = await serverPid(box);
    await writeFile(`/proc/${server}/oom_score_adj`, '1000'); // and none of these takes so much that it would go first
    const hogs = 'for i in 1 2 3 4 5 6 7 8; do (x=$(yes | head -c 20000000); sleep 600) & done; wait';
    const hog = await docker()
      .getContainer(box)
      .exec({ Cmd: ['sh', '-c', hogs], AttachStdout: true });
    const stream = await hog.start({ hijack: true });
    t.teardown(() => stream.destroy());
    t.match(await client.waitFor('sandbox:lost', WAIT), { server: 'workspace', reason: /out of memory/ });
    await saysOnce(t, stack, client, /was replaced \(out of memory.*\)\. Its files are lost\./, 'cat file.txt');
  },
);

t.test('killed in the middle of a hibernation, a sandbox is called lost, and the save before it is back', async (t) => {
  const stack = await open(t, { hibernateAfterMs: 5_000, workspaceMb: 256 });
  const client = await stack.talker(t);
  const { session } = await client.ready;
  const hibernated = stack.engine.waitForLog(({ msg }) => msg === 'sandbox hibernated', WAIT_MS);
  await stack.run(client, 'echo old > file.txt');
  await hibernated;
  await stack.run(client, 'echo new > file.txt');
  const server = await serverPid(await boxOf(stack, session));
  const saving = saveOf(stack, session, '.tmp');
  await stack.run(client, FILL);
  await saving;
  process.kill(server, 'SIGKILL');
  t.ok((await client.waitFor('sandbox:lost', WAIT)).since, 'the older save comes back');
  const lost = /Files changed after .* are lost, the others are back/;
  const said = await saysOnce(t, stack, client, lost, 'cat file.txt; ls');
  t.match(said, /old/);
  t.notMatch(said, /large/);
});

t.test('killed in the middle of a checkpoint, a sandbox is called lost, and the one before it is back', async (t) => {
  const checkpoint = { everyMs: 500, maxBytesPerSecond: MIB, minFreeDiskMb: 0 };
  const stack = await open(t, { checkpoint, workspaceMb: 256 });
  const client = await stack.talker(t);
  const { session } = await client.ready;
  const saved = saveOf(stack, session);
  await stack.run(client, 'echo old > file.txt');
  await saved;
  await stack.run(client, FILL);
  const server = await serverPid(await boxOf(stack, session));
  const temporary = join(stack.engine.dataDir, 'workspaces', `${session}~workspace.tar.lz4.tmp`);
  await until('a checkpoint is under way', () => existsSync(temporary), WAIT); // with the whole file it takes minutes
  process.kill(server, 'SIGKILL');
  t.ok((await client.waitFor('sandbox:lost', WAIT)).since, 'the older save comes back');
  const lost = /Files changed after .* are lost, the others are back/;
  const said = await saysOnce(t, stack, client, lost, 'cat file.txt; ls -l');
  t.match(said, /old/);
  t.notMatch(said, new RegExp(`${LARGE}`));
});

t.test('lines beyond the rate cost what cannot be saved, which is named, and nothing else', async (t) => {
  const stack = await open(t, {});
  const client = await stack.talker(t);
  const { session } = await client.ready;
  const hole = "fs.writeFileSync('/workspace/core', ''); fs.truncateSync('/workspace/core', 2 ** 35)"; // all of it a hole
  await stack.run(client, `echo kept > file.txt; node -e "${hole}"`);
  const flood = await printAsServer(await boxOf(stack, session), `exec yes 'log line'`);
  t.teardown(() => flood.stop());
  const { missing = [] } = await client.waitFor('sandbox:lost', WAIT);
  t.match(missing, [/core/]);
  t.match(await saysOnce(t, stack, client, /Not saved: .*core/, 'cat file.txt'), /kept/);
});

t.test('of a shared sandbox those are told whose calls changed files, also by the next start', async (t) => {
  const stack = await open(
    t,
    {},
    {
      agents: { threads: 1, spare: false },
      mcpServers: { workspace: { image: WORKSPACE_IMAGE, scope: 'shared' } },
    },
  );
  const { engine } = stack;
  const [writer, other, reader] = [await stack.talker(t), await stack.talker(t), await stack.talker(t)];
  const { session } = await writer.ready;
  await stack.run(writer, 'echo mine > mine.txt');
  await stack.run(other, 'echo too > too.txt');
  t.match((await reader.ask('look')).stopReason, 'end_turn');
  await docker()
    .getContainer(await boxOf(stack, 'shared_0'))
    .kill();
  for (const client of [writer, other]) {
    t.match(await client.waitFor('sandbox:lost', WAIT), { server: 'workspace', reason: /exited/ });
    await saysOnce(t, stack, client, /was replaced \(.*\)\. Its files are lost\./, 'cat mine.txt');
  }
  await reader.ask('look');
  t.notMatch(JSON.stringify(reader.events), /sandbox:lost|are lost/);

  const box = await boxOf(stack, 'shared_0');
  const seq = writer.lastSeq;
  engine.signal('SIGKILL');
  await engine.exited;
  await docker().getContainer(box).remove({ force: true });
  await engine.start();
  const again = await connect(engine.wsUrl, { session, after: seq });
  t.teardown(() => again.close());
  t.match(await again.waitFor('sandbox:lost', { ...WAIT, from: 0 }), { reason: 'its container was gone' });
  await saysOnce(t, stack, again, /Its files are lost/, 'cat mine.txt');
});
