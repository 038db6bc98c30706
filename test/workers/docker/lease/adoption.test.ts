/** What the death of the docker thread leaves, and what the next one makes of it; with real containers. */
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { docker } from '../../../helpers/docker.js';
import { startSilentServer } from '../../../helpers/silent-server.js';
import { AdoptionWorld, count, holdInProcess, type Leased } from './adoption-fixture.js';
import { removed } from '../driver/docker-events.js';

const SETUP = 'echo mine > file; (sleep 4711 > /dev/null 2>&1 &); echo ready';
const LOOK =
  'cat file; for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; done 2>/dev/null | grep -o "sleep 4711" | head -1';

t.test('the thread dies: files and background processes are there at the next lease, twice', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open();
  const first = await world.lease(pool, 's1');
  t.equal(first.generation, 0);
  t.match(await first.run(SETUP), 'ready');
  await world.kill(first);
  const second = await world.lease(pool, 's1');
  t.equal(second.sandbox, first.sandbox);
  t.equal(second.generation, 1);
  t.match(second.handshake, first.handshake);
  t.match(await second.run(LOOK), /mine\nsleep 4711/);
  await world.kill(second);
  const third = await world.lease(pool, 's1');
  t.same([third.sandbox, third.generation], [first.sandbox, 2]);
  t.match(await third.run(LOOK), /mine\nsleep 4711/);
  t.equal((await world.containers()).length, 1);
  await pool.run('release-sandbox', { sandbox: third.sandbox });
  t.same(await world.records(), []);
});

t.test(
  'in the middle of a call, with half a line on its input: the call ends, the next client is served',
  async (t) => {
    const world = await AdoptionWorld.make(t);
    const pool = world.open();
    const first = await world.lease(pool, 's1');
    const call = {
      name: 'run_command',
      arguments: { command: 'echo $$ > pid; sleep 300; echo late > late', timeout_ms: 600_000 },
    };
    first.port.write(`${JSON.stringify({ jsonrpc: '2.0', id: 'old', method: 'tools/call', params: call })}\n`);
    await first.run('until [ -s pid ]; do sleep 0.05; done');
    first.port.write('{"jsonrpc":"2.0","id":"half","method":"tools/ca');
    await world.kill(first);
    const second = await world.lease(pool, 's1');
    t.equal(second.sandbox, first.sandbox);
    t.match(await second.run('while kill -0 $(cat pid) 2> /dev/null; do sleep 0.05; done; ls'), /^pid$/m);
    t.notMatch(second.port.text, /"old"|"half"/);
  },
);

t.test('unused sandboxes are warm again, the same ones; two sessions get one each', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { pool: { min: 2, max: 2 } } });
  const victim = await world.lease(pool, 's1');
  await world.until('two are warm', () => count(pool, 'warm').then((warm) => warm === 2));
  const before = (await world.containers()).map(({ id }) => id).sort();
  t.equal(before.length, 3);
  await world.kill(victim);
  await world.until('two are warm again', () => count(pool, 'warm').then((warm) => warm === 2));
  t.same((await world.containers()).map(({ id }) => id).sort(), before);
  const [a, b] = await Promise.all([world.lease(pool, 's2'), world.lease(pool, 's3')]);
  t.not(a.sandbox, b.sandbox);
  for (const { sandbox, generation } of [a, b]) {
    t.ok(before.includes(sandbox) && sandbox !== victim.sandbox);
    t.equal(generation, 0);
  }
  t.equal((await world.lease(pool, 's1')).sandbox, victim.sandbox);
});

t.test(
  'a leased sandbox of an unknown session, one that has ended, and a record without a sandbox are removed',
  async (t) => {
    const world = await AdoptionWorld.make(t);
    const pool = world.open();
    const lease = (session: string): Promise<Leased> => world.lease(pool, session);
    const [torn, killed, paused, victim] = await Promise.all([lease('s1'), lease('s2'), lease('s3'), lease('s4')]);
    await Promise.all([torn, killed, paused].map((held, i) => held.run(`echo secret of ${i} > file`)));
    const record = join(world.dataDir, 'leases', torn.name);
    t.match(JSON.parse(await readFile(record, 'utf8')), { session: 's1', server: 'workspace', generation: 0 });
    await writeFile(record, '{"session":"s1","ser');
    await writeFile(
      join(world.dataDir, 'leases', 'fairlead-gone'),
      JSON.stringify({ session: 's9', server: 'workspace', generation: 0, restoring: false }),
    );
    await docker().getContainer(paused.sandbox).pause();
    await world.kill(victim);
    await docker()
      .getContainer(killed.sandbox)
      .kill()
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode !== 409 && error.statusCode !== 404) throw error; // the new thread was the faster
      });
    await Promise.all([torn, killed].map(({ sandbox }) => removed(sandbox)));
    const again = await lease('s3');
    t.equal(again.sandbox, paused.sandbox, 'the paused one goes on');
    t.match(await again.run('cat file'), 'secret of 2');
    for (const session of ['s1', 's2', 's9', 'other']) {
      t.notMatch(await (await lease(session)).run('cat file'), 'secret', session);
    }
    t.notOk((await world.records()).includes('fairlead-gone'));
  },
);

t.test(
  'a leased sandbox whose record was lost is given to no other session: its name says that it was leased',
  async (t) => {
    const world = await AdoptionWorld.make(t);
    const pool = world.open({ sandbox: { pool: { min: 1, max: 1 } } });
    const lost = await world.lease(pool, 's1');
    await world.until('its name is its session’s', async () => {
      const { Name } = await docker().getContainer(lost.sandbox).inspect();
      return Name.endsWith('.s1');
    });
    await rm(join(world.dataDir, 'leases', lost.name));
    await world.kill(lost);
    await removed(lost.sandbox);
    t.not((await world.lease(pool, 's2')).sandbox, lost.sandbox);
  },
);

t.test('the end of a session removes its orphan, whether it is reported or found by the reconciler', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open();
  const [told, found] = await Promise.all([world.lease(pool, 's1'), world.lease(pool, 's2')]);
  world.forget('s2');
  await world.kill(told);
  await removed(found.sandbox); // the reconcile at the start has asked
  t.same(await pool.run('release-session', { session: 's1' }), { released: 1 });
  t.same(await world.containers(), []);
  t.same(await world.records(), []);
});

t.test('an orphan that nobody asks for hibernates, and its files come back', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { hibernateAfterMs: 300 } });
  const first = await world.lease(pool, 's1');
  await first.run(SETUP);
  await world.kill(first);
  await removed(first.sandbox);
  t.same(await world.archives(), ['s1~workspace.tar.lz4']);
  await world.until('its record has gone', () => world.records().then((names) => names.length === 0));
  const second = await world.lease(pool, 's1');
  t.not(second.sandbox, first.sandbox);
  t.equal(second.generation, 0);
  t.match(await second.run('cat file'), 'mine');
});

t.test('an agent thread that dies leaves its sandbox to its session; close saves it', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open();
  const first = await world.lease(pool, 's1');
  await first.run(SETUP);
  first.port.write('{"jsonrpc":"2.0","id":"half","method":"tools/ca');
  first.port.close();
  await world.until('its new handshake is done', async () => {
    const [name = ''] = await world.records();
    return (await readFile(join(world.dataDir, 'leases', name), 'utf8')).includes('"generation":1');
  });
  const second = await world.lease(pool, 's1');
  t.same([second.sandbox, second.generation], [first.sandbox, 1]);
  t.match(await second.run(LOOK), /mine\nsleep 4711/);
  second.port.close();
  await pool.close();
  t.same(await world.containers(), []);
  t.same(await world.records(), []);
  t.same(await world.archives(), ['s1~workspace.tar.lz4']);
});

t.test('a stop that cannot save a workspace leaves its sandbox to the next start', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open();
  const [left, saved] = await Promise.all([world.lease(pool, 's1'), world.lease(pool, 's2')]);
  await Promise.all([left.run(SETUP), saved.run(SETUP)]);
  await symlink('/dev/full', join(world.dataDir, 'workspaces', 's1~workspace.tar.lz4.tmp'));
  left.port.close();
  await pool.close();
  t.same(
    (await world.containers()).map(({ id }) => id),
    [left.sandbox],
  );
  t.same(await world.records(), [left.name]);
  t.same(await world.archives(), ['s2~workspace.tar.lz4']);
  const next = world.open();
  const again = await world.lease(next, 's1');
  t.equal(again.sandbox, left.sandbox);
  t.equal(again.restored, undefined, 'it is the sandbox itself');
  t.match(await again.run(LOOK), /mine\nsleep 4711/);
  const other = await world.lease(next, 's2');
  t.match(other.restored, { savedAt: Number, files: 1, skipped: { count: 0, paths: [] } });
  t.match(await other.run('cat file'), 'mine');
});

t.test('a sandbox with restored files goes on after a death, and the save that it came from stays', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open();
  const first = await world.lease(pool, 's1');
  await first.run('echo old > file');
  const { savedAt } = await pool.run('hibernate-sandbox', { sandbox: first.sandbox });
  const second = await world.lease(pool, 's1');
  t.equal(second.restored?.savedAt, savedAt);
  await second.run('echo new > file');
  await world.kill(second);
  const third = await world.lease(pool, 's1');
  t.same([third.sandbox, third.restored], [second.sandbox, undefined]);
  t.match(await third.run('cat file'), 'new');
  await docker().getContainer(third.sandbox).remove({ force: true });
  await third.port.closed();
  const fourth = await world.lease(pool, 's1');
  t.equal(fourth.restored?.savedAt, savedAt, 'the sandbox is gone: the save comes back');
  t.match(await fourth.run('cat file'), 'old');
});

t.test(
  'the thread dies while a workspace is put back: what was saved is put back again, into another one',
  async (t) => {
    const world = await AdoptionWorld.make(t);
    const pool = world.open();
    const first = await world.lease(pool, 's1');
    const victim = await world.lease(pool, 's2');
    await first.run('echo mine > file');
    await pool.run('hibernate-sandbox', { sandbox: first.sandbox });
    // As in the middle of a restore: the record says so, and half of the files and the archive exist.
    const second = await world.lease(pool, 's3');
    const { name } = second;
    await second.run('echo half > file');
    const record = { session: 's1', server: 'workspace', generation: 0, restoring: true };
    await writeFile(join(world.dataDir, 'leases', name), JSON.stringify(record));
    await world.kill(victim);
    const again = await world.lease(pool, 's1');
    t.not(again.sandbox, second.sandbox);
    t.match(await again.run('cat file'), 'mine');
    await removed(second.sandbox);
  },
);

t.test('a lease that cannot be recorded is refused, and its sandbox stays unused', async (t) => {
  const world = await AdoptionWorld.make(t);
  const pool = world.open({ sandbox: { pool: { min: 1, max: 1 } } });
  await world.until('one is warm', () => count(pool, 'warm').then((warm) => warm === 1));
  const [warm] = await world.containers();
  await rm(join(world.dataDir, 'leases'), { recursive: true });
  await t.rejects(world.lease(pool, 's1'), { code: 'ERR_SANDBOX', message: /could not be recorded/ });
  await mkdir(join(world.dataDir, 'leases'));
  t.equal((await world.lease(pool, 's2')).sandbox, warm?.id);
});

t.test('options have changed: warm ones are replaced, a session keeps its files and not its container', async (t) => {
  const world = await AdoptionWorld.make(t);
  const lost = world.open({ sandbox: { pool: { min: 1, max: 1 } } }, { onWorkerLost: () => undefined });
  const first = await world.lease(lost, 's1');
  await first.run(SETUP);
  await world.until('one is warm', () => count(lost, 'warm').then((warm) => warm === 1));
  const before = (await world.containers()).map(({ id }) => id);
  t.equal(before.length, 2);
  // Beside the old thread, which counts as dead: another one on the same folder adopts its sandboxes.
  const pool = world.open({ sandbox: { memoryMb: 300, pool: { min: 1, max: 1 } } });
  const second = await world.lease(pool, 's1');
  t.notOk(before.includes(second.sandbox));
  t.match(await second.run('cat file'), 'mine');
  await Promise.all(before.map(removed));
});

t.test('a server that is killed leaves its sandboxes to the next one, warm ones too', async (t) => {
  const world = await AdoptionWorld.make(t);
  const held = await holdInProcess(t, world);
  const before = (await world.containers()).map(({ id }) => id).sort();
  t.equal(before.length, 2);
  held.child.kill('SIGKILL');
  await held.exited;
  const pool = world.open({ sandbox: { pool: { min: 1, max: 1 } } });
  const again = await world.lease(pool, 's1');
  t.equal(again.sandbox, held.sandbox);
  t.match(await again.run(LOOK), /mine\nsleep 4711/);
  await world.until('one is warm', () => count(pool, 'warm').then((warm) => warm === 1));
  t.same((await world.containers()).map(({ id }) => id).sort(), before);
});

t.test(
  'while Docker does not answer a session that had one gets no other beside it, and nothing is forgotten',
  async (t) => {
    const world = await AdoptionWorld.make(t);
    const silent = await startSilentServer();
    t.teardown(() => silent.close());
    const held = await holdInProcess(t, world);
    held.child.kill('SIGKILL');
    await held.exited;
    const records = await world.records();
    const away = world.open({ host: silent.host, sandbox: { leaseTimeoutMs: 500 } }, { closeTimeoutMs: 500 });
    await t.rejects(world.lease(away, 's1'), { code: 'ERR_UNAVAILABLE', message: /not ready/, retryAfterMs: Number });
    await away.close();
    t.same(await world.records(), records);
    const pool = world.open();
    t.equal((await world.lease(pool, 's1')).sandbox, held.sandbox);
  },
);
