import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { createLog } from '../../../../src/shared/log.js';
import type { Loss, LossTold } from '../../../../workers/docker/contract/messages.js';
import { lossOf, Losses } from '../../../../workers/docker/lease/losses.js';
import { deferred } from '../../../helpers/processes.js';

const OWNER = { session: 's1', server: 'workspace' };
const NEVER = new AbortController().signal;
const OF = { ...lossOf('box', { ...OWNER, leasedAt: 7 }), reason: 'it died' };

function open(
  t: Test,
  tell: (loss: Loss) => Promise<LossTold>,
  folder = makeFolder(t),
): { losses: Losses; folder: string } {
  const losses = new Losses({ folder, tell, log: createLog('test', 'silent') });
  losses.load();
  t.teardown(() => losses.close());
  return { losses, folder };
}

function makeFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'fl-losses-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'losses');
}

t.test(
  'a loss is on disk before its sandbox’s record may go, and leaves the disk when its session has it',
  async (t) => {
    const answer = deferred<LossTold>();
    const told: Loss[] = [];
    const { losses, folder } = open(t, (loss) => (told.push(loss), answer.promise));
    await losses.note(OF, Promise.resolve({ since: 5, missing: [] }));
    t.same(readdirSync(folder), ['box.7']);
    const settled = losses.settled(OWNER, NEVER, 10_000);
    answer.resolve({ told: true });
    await settled;
    t.same(told, [{ id: 'box.7', ...OWNER, reason: 'it died', since: 5 }]);
    t.same(readdirSync(folder), []);
  },
);

t.test('a lease of that session waits until it is told, with a deadline; others do not', async (t) => {
  const { losses } = open(t, () => new Promise(() => undefined));
  void losses.note(OF, Promise.resolve({}));
  await losses.settled({ ...OWNER, session: 's2' }, NEVER, 10_000);
  await losses.settled({ ...OWNER, server: 'other' }, NEVER, 10_000);
  await t.rejects(losses.settled(OWNER, NEVER, 1), { code: 'ERR_UNAVAILABLE' });
  await t.rejects(losses.settled(OWNER, AbortSignal.abort(new Error('gone')), 10_000), { message: 'gone' });
});

t.test('what could not be told is told by the next run, under the same id', async (t) => {
  const asked = deferred<void>();
  const first = open(t, () => {
    asked.resolve();
    return Promise.reject(new FairleadError('ERR_UNAVAILABLE', 'the store is away'));
  });
  await first.losses.note(OF, Promise.resolve({}));
  await asked.promise;
  await first.losses.close();
  const told = deferred<Loss>();
  const second = open(t, async (loss) => (told.resolve(loss), { told: true }), first.folder);
  t.match(await told.promise, { id: 'box.7', reason: 'it died' });
  await second.losses.settled(OWNER, NEVER, 10_000);
  t.same(readdirSync(first.folder), []);
});

t.test('the same death, found twice, is one loss', async (t) => {
  const told: Loss[] = [];
  const { losses } = open(t, async (loss) => (told.push(loss), { told: true }));
  void losses.note(OF, Promise.resolve({}));
  void losses.note({ ...OF, reason: 'found again' }, Promise.resolve({}));
  await losses.settled(OWNER, NEVER, 10_000);
  t.equal(told.length, 1);
});

t.test('a session that another server has blocks no lease, and is told when it is back', async (t) => {
  let here = false;
  const { losses, folder } = open(t, async () => ({ told: here }));
  await losses.note(OF, Promise.resolve({}));
  await losses.settled(OWNER, NEVER, 10_000);
  t.same(readdirSync(folder), ['box.7']);
  here = true;
  await losses.settled(OWNER, NEVER, 10_000);
  t.same(readdirSync(folder), []);
});

t.test('half a file, which a power failure left, keeps no server from starting', async (t) => {
  const { folder } = open(t, async () => ({ told: true }));
  writeFileSync(join(folder, 'box.9'), '{"id":"bo');
  writeFileSync(join(folder, 'box.8~new'), '');
  const { losses } = open(t, async () => ({ told: true }), folder);
  await losses.settled(OWNER, NEVER, 10_000);
  t.pass();
});

t.test(
  'a loss of a shared sandbox is one for each session that changed files, and its next lease waits for all',
  async (t) => {
    const shared = { session: 'shared_0', server: 'workspace' };
    const answer = deferred<LossTold>();
    const told: Loss[] = [];
    const first = open(t, async (loss) => {
      told.push(loss);
      return loss.session === 's2' ? answer.promise : { told: true };
    });
    const of = { ...lossOf('box', { ...shared, leasedAt: 7, changedBy: ['s1', 's2'] }), reason: 'it died' };
    await first.losses.note(of, Promise.resolve({ since: 5 }));
    await t.rejects(first.losses.settled(shared, NEVER, 1), { code: 'ERR_UNAVAILABLE' });
    const byId = told.toSorted((a, b) => a.id.localeCompare(b.id));
    t.same(byId, [
      { id: 'box.7.s1', session: 's1', server: 'workspace', reason: 'it died', since: 5 },
      { id: 'box.7.s2', session: 's2', server: 'workspace', reason: 'it died', since: 5 },
    ]);
    await first.losses.close();
    const late = deferred<LossTold>();
    const { losses } = open(t, () => late.promise, first.folder);
    await t.rejects(losses.settled(shared, NEVER, 1), { code: 'ERR_UNAVAILABLE' }, 'an earlier run’s, too');
    late.resolve({ told: true });
    await losses.settled(shared, NEVER, 10_000);
    t.same(readdirSync(first.folder), []);
  },
);
