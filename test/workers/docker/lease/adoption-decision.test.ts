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

t.test('what somebody had is kept for them, whatever is saved already', async (t) => {
  t.equal(decideAdoption(base), 'keep');
  t.equal(decideAdoption({ ...base, archived: true }), 'keep');
  t.equal(decideAdoption({ ...base, options: 'unknown' }), 'keep', 'nothing better is to be had');
});

t.test('what cannot go on as it is gives its files away', async (t) => {
  t.equal(decideAdoption({ ...base, options: ['b'] }), 'save');
  t.equal(decideAdoption({ ...base, options: 'none' }), 'save');
});

t.test('a half restored workspace goes while its archive is there; without one all of it was restored', async (t) => {
  const restoring = { ...base, record: { ...record, restoring: true } };
  t.equal(decideAdoption({ ...restoring, archived: true }), 'remove');
  t.equal(decideAdoption(restoring), 'keep');
});

t.test('what nobody had goes on the shelf if it is what would be started now, of any image', async (t) => {
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

t.test('what has ended, is of nobody known, or is older than another one goes', async (t) => {
  t.equal(decideAdoption({ ...base, found: { ...base.found, runs: false } }), 'remove');
  t.equal(decideAdoption({ ...base, record: 'unknown' }), 'remove');
  t.equal(decideAdoption({ ...base, outdated: true }), 'remove');
});
