import t from 'tap';
import { createLog } from '../../../src/log.js';
import type { SandboxDriver } from '../../../workers/docker/driver.js';
import { Reconciler } from '../../../workers/docker/reconcile.js';
import { deferred } from '../../helpers/processes.js';

const log = createLog('test', 'silent');

type Sweeper = Pick<SandboxDriver, 'sweepLeftovers'>;

function driverOf(sweepLeftovers: SandboxDriver['sweepLeftovers']): Sweeper {
  return { sweepLeftovers };
}

t.test('sweeps at once and again and again, also after one that failed, until it is closed', async (t) => {
  const thrice = deferred<undefined>();
  let sweeps = 0;
  const driver = driverOf(async () => {
    sweeps++;
    if (sweeps === 1) throw new Error('Docker is away');
    if (sweeps === 3) {
      reconciler.close();
      thrice.resolve(undefined);
    }
    return 0;
  });
  const reconciler = new Reconciler({
    driver,
    isKnown: () => false,
    forgetMissing: async () => undefined,
    log,
    everyMs: 1,
  });
  reconciler.start();
  await thrice.promise;
  t.equal(sweeps, 3);
});

t.test('who asks while a sweep runs gets its answer', async (t) => {
  const gate = deferred<number>();
  let sweeps = 0;
  const driver = driverOf(() => {
    sweeps++;
    return gate.promise;
  });
  const reconciler = new Reconciler({ driver, isKnown: () => false, forgetMissing: async () => undefined, log });
  const both = Promise.all([reconciler.sweep(), reconciler.sweep()]);
  gate.resolve(4);
  t.same(await both, [4, 4]);
  t.equal(sweeps, 1);
});
