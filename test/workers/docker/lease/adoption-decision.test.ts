import t from 'tap';
import { fateOf, type FateInput } from '../../../../workers/docker/lease/adoption.js';
import type { LeaseRecord } from '../../../../workers/docker/lease/lease-records.js';

const record: LeaseRecord = { session: 's1', server: 'workspace', generation: 0, restoring: false };
const base: FateInput = {
  found: { runs: true, named: false, options: 'a' },
  record,
  options: ['a'],
  archived: false,
  outdated: false,
};

t.test('what somebody had is kept for them, whatever is saved already', async (t) => {
  t.equal(fateOf(base), 'keep');
  t.equal(fateOf({ ...base, archived: true }), 'keep');
  t.equal(fateOf({ ...base, options: 'unknown' }), 'keep', 'nothing better is to be had');
});

t.test('what cannot go on as it is gives its files away', async (t) => {
  t.equal(fateOf({ ...base, options: ['b'] }), 'save');
  t.equal(fateOf({ ...base, options: 'none' }), 'save');
});

t.test('a half restored workspace goes while its archive is there; without one all of it was restored', async (t) => {
  const restoring = { ...base, record: { ...record, restoring: true } };
  t.equal(fateOf({ ...restoring, archived: true }), 'remove');
  t.equal(fateOf(restoring), 'keep');
});

t.test('what nobody had goes on the shelf if it is what would be started now, of any image', async (t) => {
  const nobodys: FateInput = { ...base, record: 'nobody' };
  t.equal(fateOf({ ...nobodys, options: ['b', 'a'] }), 'shelve');
  for (const options of [['b'], [], 'none', 'unknown'] as const) t.equal(fateOf({ ...nobodys, options }), 'remove');
  t.equal(
    fateOf({ ...nobodys, found: { runs: true, named: false, options: '' } }),
    'remove',
    'made before there were such hashes',
  );
  t.equal(fateOf({ ...nobodys, found: { ...base.found, named: true } }), 'remove', 'its record was lost');
});

t.test('what has ended, is of nobody known, or is older than another one goes', async (t) => {
  t.equal(fateOf({ ...base, found: { ...base.found, runs: false } }), 'remove');
  t.equal(fateOf({ ...base, record: 'unknown' }), 'remove');
  t.equal(fateOf({ ...base, outdated: true }), 'remove');
});
