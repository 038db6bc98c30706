import t from 'tap';
import { createLog } from '../../../src/shared/log.js';
import type { SandboxDriver } from '../../../workers/docker/driver/driver.js';
import { Reconciler } from '../../../workers/docker/reconciler.js';
import { deferred } from '../../helpers/processes.js';

const log = createLog('test', 'silent');

type Sweeper = Pick<SandboxDriver, 'removeUnknown'>;

function driverOf(removeUnknown: SandboxDriver['removeUnknown']): Sweeper {
  return { removeUnknown };
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

t.test('for all who ask while a sweep runs there is one more after it, also when that one fails', async (t) => {
  const first = deferred<undefined>();
  const failing = first.promise.then(() => Promise.reject(new Error('Docker is away')));
  const answers = [failing, Promise.resolve(4), Promise.resolve(5)];
  let sweeps = 0;
  const driver = driverOf(() => answers[sweeps++] ?? Promise.reject(new Error('one sweep too many')));
  const reconciler = new Reconciler({ driver, isKnown: () => false, forgetMissing: async () => undefined, log });
  const three = Promise.allSettled([reconciler.sweep(), reconciler.sweep(), reconciler.sweep()]);
  t.equal(sweeps, 1);
  first.resolve(undefined);
  t.match(await three, [{ status: 'rejected' }, { value: 4 }, { value: 4 }]);
  t.equal(await reconciler.sweep(), 5);
  t.equal(sweeps, 3);
});
