/** Checkpoints: what they save, what cuts them, and what the death of a container costs; with real containers. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { DockerPool } from '../../../../src/threads/docker-pool.js';
import { Checkpoints, type CheckpointsOptions } from '../../../../workers/docker/archive/checkpoints.js';
import type { RunningSandbox } from '../../../../workers/docker/driver/driver.js';
import { createLog } from '../../../../src/shared/log.js';
import { docker } from '../../../helpers/docker.js';
import { deferred } from '../../../helpers/processes.js';
import { AdoptionWorld, type Leased } from '../lease/adoption-fixture.js';

const MIB = 1_048_576;
const OFTEN = { everyMs: 200, minFreeDiskMb: 0 };
/** So slow that a checkpoint of 60 MB never ends by itself. */
const SLOW = { ...OFTEN, maxBytesPerSecond: MIB };
const SANDBOX = { workspaceMb: 128, memoryMb: 512 };
const ARCHIVE = 's1~workspace.tar.lz4';

async function outcomes(pool: DockerPool): Promise<Record<string, number>> {
  const { metrics } = await pool.run('collect-metrics', {});
  const all = metrics as { name: string; values: { labels: Record<string, string>; value: number }[] }[];
  const values = all.find(({ name }) => name === 'fairlead_sandbox_checkpoints_total')?.values ?? [];
  return Object.fromEntries(values.map(({ labels, value }) => [labels['outcome'] ?? '', value]));
}

async function until(world: AdoptionWorld, pool: DockerPool, outcome: string, atLeast: number): Promise<void> {
  await world.until(`${atLeast} ${outcome}`, async () => ((await outcomes(pool))[outcome] ?? 0) >= atLeast);
}

/** As an agent thread, which says that the call may change files. */
async function change(held: Leased, command: string): Promise<void> {
  held.port.send({ type: 'changes', running: 1 });
  await held.run(command);
  held.port.send({ type: 'changes', running: 0 });
}

async function remove(held: Leased): Promise<void> {
  await docker().getContainer(held.sandbox).remove({ force: true });
  await held.port.closed();
}

t.test('the death of a container costs the work since its checkpoint, no more', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { ...SANDBOX, checkpoint: OFTEN } });
  const first = await world.lease(pool, 's1');
  const began = Date.now();
  await first.run('echo kept > file; mkdir closed; echo too > closed/file; chmod 0 closed');
  await until(world, pool, 'saved', 1);
  await first.run('echo more > file');
  await until(world, pool, 'saved', 2);
  const done = Date.now();
  t.match(await first.run('stat -c %a closed; cat file'), /^0\nmore/, 'the sandbox goes on as it was');
  await remove(first);
  const second = await world.lease(pool, 's1');
  t.not(second.sandbox, first.sandbox);
  t.ok((second.restored?.savedAt ?? 0) > began && (second.restored?.savedAt ?? 0) <= done + 60_000);
  t.match(await second.run('cat file; chmod 700 closed; cat closed/file'), /more\ntoo/);
});

t.test('a workspace without changes is not saved again, and counts as saved now', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { ...SANDBOX, checkpoint: OFTEN } });
  const first = await world.lease(pool, 's1');
  await first.run('echo kept > file');
  await until(world, pool, 'saved', 1);
  await first.run('cat file');
  await until(world, pool, 'unchanged', 1);
  const { mtimeMs } = await stat(join(world.dataDir, 'workspaces', ARCHIVE));
  const looked = Date.now();
  await first.run('ls');
  await until(world, pool, 'unchanged', 2);
  t.equal((await stat(join(world.dataDir, 'workspaces', ARCHIVE))).mtimeMs, mtimeMs);
  await remove(first);
  const second = await world.lease(pool, 's1');
  t.ok((second.restored?.savedAt ?? 0) > looked - 60_000 && (second.restored?.savedAt ?? 0) > mtimeMs);
});

t.test('a hibernation, an end of the session and a stop cut a checkpoint, and do not wait for it', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { ...SANDBOX, checkpoint: SLOW } });
  const [first, second, third] = [
    await world.lease(pool, 's1'),
    await world.lease(pool, 's2'),
    await world.lease(pool, 's3'),
  ];
  const busy = async (held: Leased, session: string): Promise<void> => {
    await held.run('head -c 60000000 /dev/urandom > large; echo kept > file');
    await world.until('its checkpoint has begun', async () =>
      (await world.archives()).includes(`${session}~workspace.tar.lz4.tmp`),
    );
  };
  await busy(first, 's1');
  t.match(await pool.run('hibernate-sandbox', { sandbox: first.sandbox }), { files: 2 });
  await until(world, pool, 'cut', 1);
  await busy(second, 's2');
  await pool.run('release-session', { session: 's2' });
  await until(world, pool, 'cut', 2);
  t.same(await world.archives(), [ARCHIVE]);
  await busy(third, 's3');
  await pool.close();
  t.same((await world.archives()).sort(), [ARCHIVE, 's3~workspace.tar.lz4']);
  t.same(await world.containers(), []);
});

t.test('a death in the middle of a checkpoint leaves the one before it', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { ...SANDBOX, checkpoint: SLOW } });
  const first = await world.lease(pool, 's1');
  await first.run('echo old > file');
  await until(world, pool, 'saved', 1);
  const path = join(world.dataDir, 'workspaces', ARCHIVE);
  const before = await readFile(path);
  await first.run('head -c 60000000 /dev/urandom > large; echo new > file');
  await world.until('a checkpoint has begun', async () => (await world.archives()).includes(`${ARCHIVE}.tmp`));
  await world.kill(first);
  const second = await world.lease(pool, 's1');
  t.equal(second.sandbox, first.sandbox);
  t.match(await second.run('cat file'), 'new');
  t.same(await readFile(path), before);
  await remove(second);
  const third = await world.lease(pool, 's1');
  t.ok(third.restored);
  t.match(await third.run('cat file'), 'old');
});

t.test('a disk that is nearly full costs the checkpoints, and nothing else', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { ...SANDBOX, checkpoint: { ...OFTEN, minFreeDiskMb: 1_000_000_000 } } });
  const first = await world.lease(pool, 's1');
  await first.run('echo kept > file');
  await until(world, pool, 'disk_full', 1);
  t.same(await world.archives(), []);
  t.match(await pool.run('hibernate-sandbox', { sandbox: first.sandbox }), { files: 1 });
  t.same(await world.archives(), [ARCHIVE]);
});

t.test(
  'changes that outlive their docker thread are saved at once: how long they have waited is not known',
  async (t) => {
    const world = await AdoptionWorld.make(t);
    const pool = world.open({ sandbox: { ...SANDBOX, checkpoint: { ...OFTEN, everyMs: 3_600_000 } } });
    const first = await world.lease(pool, 's1');
    await change(first, 'echo kept > file');
    await world.kill(first);
    await until(world, pool, 'saved', 1);
    const again = await world.lease(pool, 's1');
    t.equal(again.sandbox, first.sandbox);
    await remove(again);
    t.match(await (await world.lease(pool, 's1')).run('cat file'), 'kept');
  },
);

t.test('one that was cut is due again soon, behind those who wait longer', async (t) => {
  const everyMs = 8_000;
  const looked: string[] = [];
  const done = deferred<void>();
  const checkpoint = async ({ session }: { session: string }): Promise<object | undefined> => {
    looked.push(session);
    if (looked.length === 4) done.resolve();
    const isCut = session === 's1' && looked.length < 4;
    return isCut ? undefined : { bytes: 1, savedAt: 1, files: 1, skipped: { count: 0, paths: [] }, unchanged: false };
  };
  const held = ['s1', 's2'].map((session) => ({
    session,
    server: 'workspace',
    id: session,
    sandbox: { running: {} as RunningSandbox },
    changedAt: 1,
    overdue: true as const,
  }));
  const checkpoints = new Checkpoints({
    config: { enabled: true, everyMs, maxConcurrent: 1, maxBytesPerSecond: MIB, minFreeDiskMb: 0 },
    workspaces: { checkpoint } as unknown as CheckpointsOptions['workspaces'],
    archives: { freeBytes: async () => MIB, limits: { maxBytes: MIB, timeoutMs: 1_000 } },
    leases: () => held,
    log: createLog('test', 'silent'),
  });
  checkpoints.start();
  t.teardown(() => checkpoints.close());
  await done.promise;
  t.same(looked, ['s1', 's2', 's1', 's1'], 's2 is saved, and due again after the whole time');
});
