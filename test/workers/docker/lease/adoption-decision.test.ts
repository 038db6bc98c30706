import t from 'tap';
import { decideAdoption, type AdoptionInput } from '../../../../workers/docker/lease/adoption.js';
import type { LeaseRecord } from '../../../../workers/docker/lease/lease-records.js';

const record: LeaseRecord = { session: 's1', server: 'workspace', generation: 0, restoring: false };
const base: AdoptionInput = {
  found: { runs: true, named: false, options: 'a' },
  record,
  options: ['a'],
  archived: false,
  outdated: false,
};

t.test('a leased sandbox is kept, whatever is saved already', async (t) => {
  t.equal(decideAdoption(base), 'keep');
  t.equal(decideAdoption({ ...base, archived: true }), 'keep');
  t.equal(decideAdoption({ ...base, options: 'unknown' }), 'keep', 'without its image no better one can be started');
});

t.test('an outdated leased sandbox has its files saved', async (t) => {
  t.equal(decideAdoption({ ...base, options: ['b'] }), 'save');
  t.equal(decideAdoption({ ...base, options: 'none' }), 'save');
});

t.test(
  'a half restored sandbox is removed while its archive exists; without an archive it was restored fully',
  async (t) => {
    const restoring = { ...base, record: { ...record, restoring: true } };
    t.equal(decideAdoption({ ...restoring, archived: true }), 'remove');
    t.equal(decideAdoption(restoring), 'keep');
  },
);

t.test('an unused sandbox is warm again if its options are those of one started now, of any image', async (t) => {
  const nobodys: AdoptionInput = { ...base, record: 'nobody' };
  t.equal(decideAdoption({ ...nobodys, options: ['b', 'a'] }), 'warm');
  for (const options of [['b'], [], 'none', 'unknown'] as const)
    t.equal(decideAdoption({ ...nobodys, options }), 'remove');
  t.equal(
    decideAdoption({ ...nobodys, found: { runs: true, named: false, options: '' } }),
    'remove',
    'made before there were such hashes',
  );
  t.equal(decideAdoption({ ...nobodys, found: { ...base.found, named: true } }), 'remove', 'its record was lost');
});

t.test(
  'a sandbox that has ended, whose session is unknown, or that is older than another one is removed',
  async (t) => {
    t.equal(decideAdoption({ ...base, found: { ...base.found, runs: false } }), 'remove');
    t.equal(decideAdoption({ ...base, record: 'unknown' }), 'remove');
    t.equal(decideAdoption({ ...base, outdated: true }), 'remove');
  },
);
