/** What a dockerd that starts again costs leased sandboxes, with and without live-restore; with a dockerd of its own. */
import t, { type Test } from 'tap';
import { startChaosDockerd, type ChaosDockerd } from '../../../chaos/dockerd.js';
import type { Loss, LossTold } from '../../../../workers/docker/contract/messages.js';
import { makeChaosTools } from '../../../chaos/tools.js';
import { AdoptionWorld, type Leased } from './adoption-fixture.js';

const SANDBOX = { pids: 64 };
let calls = 0;

/** Calls a tool of the chaos image; resolves with its text. */
async function call({ port }: Leased, name: string, text = ''): Promise<string> {
  const id = `"t-${++calls}"`;
  port.write(
    `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}","arguments":{"text":"${text}"}}}\n`,
  );
  const answer = (): string | undefined => port.text.split('\n').find((line) => line.includes(`"id":${id}`));
  await port.until(() => answer() !== undefined);
  return /"text":"([^"]*)"/.exec(answer() ?? '')?.[1] ?? '';
}

t.test('with live-restore', async (t) => {
  const dockerd = await startDaemon(t, true);
  const image = await makeChaosTools();
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await t.test(
      `${signal}: a sandbox in use, and one that waits for its session, keep their files and processes`,
      async (t) => {
        const world = await AdoptionWorld.make(t);
        const pool = world.open({ host: dockerd.host, image: image.tag, sandbox: SANDBOX });
        const [used, left] = await Promise.all([world.lease(pool, 's1'), world.lease(pool, 's2')]);
        await call(used, 'write', 'mine');
        await call(left, 'write', 'too');
        used.port.write(
          '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nap","_meta":{"progressToken":1}}}\n',
        );
        await used.port.until(() => used.port.text.includes('napping'));
        left.port.close();
        await dockerd.restart(signal);
        t.equal((await used.port.exit()).reason, 'the connection to Docker was lost');
        for (const [before, text] of [
          [used, 'mine'],
          [left, 'too'],
        ] as const) {
          const again = await world.lease(pool, before === used ? 's1' : 's2');
          t.equal(again.sandbox, before.sandbox);
          t.ok(again.generation > before.generation);
          t.equal(await call(again, 'read'), text);
        }
        t.equal((await world.containers()).length, 2);
      },
    );
  }
});

t.test('without live-restore', async (t) => {
  const dockerd = await startDaemon(t, false);
  const image = await makeChaosTools();
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await t.test(
      `${signal}: the newest save comes back, and only who had changed files is told of a loss`,
      async (t) => {
        const world = await AdoptionWorld.make(t);
        const told: Loss[] = [];
        const tellLoss = async (loss: Loss): Promise<LossTold> => {
          told.push(loss);
          return { told: true };
        };
        const pool = world.open({ host: dockerd.host, image: image.tag, sandbox: SANDBOX }, { tellLoss });
        const first = await world.lease(pool, 's1');
        await change(first, 'saved');
        const { savedAt } = await pool.run('hibernate-sandbox', { sandbox: first.sandbox });
        const [changed, unchanged] = await Promise.all([world.lease(pool, 's1'), world.lease(pool, 's2')]);
        await change(changed, 'newer');
        t.equal(await call(unchanged, 'read'), '');
        await dockerd.restart(signal);
        await Promise.all([changed, unchanged].map(({ port }) => port.exit()));
        const again = await world.lease(pool, 's1');
        t.equal(await call(again, 'read'), 'saved');
        t.match(told, [{ session: 's1', server: 'workspace', since: savedAt }], 'before the lease is handed over');
        t.equal(told.length, 1);
        await world.lease(pool, 's2');
        t.equal(told.length, 1);
      },
    );
  }
});

/** Writes as an agent thread does, which says that the call may change files. */
async function change(held: Leased, text: string): Promise<void> {
  held.port.send({ type: 'changes', running: 1 });
  await call(held, 'write', text);
  held.port.send({ type: 'changes', running: 0 });
}

async function startDaemon(t: Test, liveRestore: boolean): Promise<ChaosDockerd> {
  const dockerd = await startChaosDockerd({ liveRestore });
  const before = process.env['DOCKER_HOST'];
  process.env['DOCKER_HOST'] = dockerd.host;
  t.teardown(async () => {
    if (before === undefined) delete process.env['DOCKER_HOST'];
    else process.env['DOCKER_HOST'] = before;
    await dockerd.stop();
  });
  return dockerd;
}
