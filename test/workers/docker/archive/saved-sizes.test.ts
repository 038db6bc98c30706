import t from 'tap';
import type { SavedSize } from '../../../../workers/docker/contract/messages.js';
import { SavedSizes } from '../../../../workers/docker/archive/saved-sizes.js';
import { createLog } from '../../../../src/shared/log.js';
import { deferred } from '../../../helpers/processes.js';

const log = createLog('test', 'silent');

t.test('sizes are told together, the newest of each, and again until they are taken', async (t) => {
  const told: SavedSize[][] = [];
  const taken = deferred<void>();
  const sizes = new SavedSizes({
    tell: async (saves) => {
      told.push(saves);
      if (told.length === 1) throw new Error('the store is away');
      taken.resolve();
    },
    log,
    againMs: 1,
  });
  t.teardown(() => sizes.close());
  sizes.note('a', 'workspace', 1);
  sizes.note('a', 'workspace', 2);
  sizes.note('b', 'workspace', 3);
  await taken.promise;
  const saves = [
    { session: 'a', server: 'workspace', bytes: 2 },
    { session: 'b', server: 'workspace', bytes: 3 },
  ];
  t.strictSame(told, [saves, saves]);
});
