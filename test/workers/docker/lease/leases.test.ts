import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createLog } from '../../../../src/shared/log.js';
import type { Archives } from '../../../../workers/docker/archive/archives.js';
import { Workspaces } from '../../../../workers/docker/archive/workspaces.js';
import type { Lease } from '../../../../workers/docker/lease/lease.js';
import { Leases } from '../../../../workers/docker/lease/leases.js';
import { Losses } from '../../../../workers/docker/lease/losses.js';
import { deferred } from '../../../helpers/processes.js';

t.test('a sandbox that has died is not saved: restarted since, it is empty, and its good save would go', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fl-leases-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const log = createLog('test', 'silent');
  const newest = deferred<undefined>();
  const saves: string[] = [];
  const archives = {
    newest: () => newest.promise,
    save: async () => void saves.push('saved'),
  } as unknown as Archives;
  const losses = new Losses({ folder, tell: async () => ({ told: true }), log });
  losses.load();
  const leases = new Leases({
    workspaces: new Workspaces(archives),
    records: undefined,
    losses,
    log,
    onEnd: () => undefined,
    settled: async () => undefined,
  });
  const lease = {
    id: 'box',
    session: 's1',
    server: 'workspace',
    leasedAt: 1,
    generation: 0,
    used: true,
    sandbox: { name: 'box', running: {} },
    pool: { giveBack: async () => undefined },
  } as unknown as Lease;
  leases.add(lease);
  leases.noteChange(lease);
  const died = leases.died(lease, 'it was restarted');
  await t.rejects(leases.hibernate(lease), { code: 'ERR_SANDBOX' });
  newest.resolve(undefined);
  await died;
  t.same(saves, []);
  t.notOk(leases.has(lease));
});
