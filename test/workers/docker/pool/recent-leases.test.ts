import t from 'tap';
import { RecentLeases } from '../../../../workers/docker/pool/recent-leases.js';

void t.test('leases count half after half a minute, and are forgotten', async (t) => {
  let now = 0;
  const recent = new RecentLeases(() => now);
  for (let given = 0; given < 4; given++) recent.note('a');
  t.equal(recent.of('a'), 4);
  now = 30_000;
  t.equal(recent.of('a'), 2);
  now = 600_000;
  t.ok(recent.of('a') < 0.001);
  t.equal(recent.of('b'), 0);
});

void t.test('greedy is who takes many while another takes few, and nobody where all go by one user', async (t) => {
  let now = 0;
  const recent = new RecentLeases(() => now);
  for (let given = 0; given < 20; given++) recent.note('loud');
  t.notOk(recent.isGreedy('loud'), 'nobody else is there');
  recent.note('quiet');
  t.ok(recent.isGreedy('loud'));
  t.notOk(recent.isGreedy('quiet'));
  t.notOk(recent.isGreedy('new'));
  now = 300_000;
  t.notOk(recent.isGreedy('loud'), 'it is long ago');
});

void t.test('those that somebody waits for count as well', async (t) => {
  const recent = new RecentLeases(() => 0);
  recent.hold('quiet');
  t.notOk(recent.isGreedy('loud', 4));
  t.ok(recent.isGreedy('loud', 5));
});

void t.test('who only has a sandbox is somebody else too, until it is given back', async (t) => {
  let now = 0;
  const recent = new RecentLeases(() => now);
  recent.hold('quiet');
  recent.hold('quiet');
  now = 600_000;
  for (let given = 0; given < 20; given++) recent.note('loud');
  t.ok(recent.isGreedy('loud'));
  recent.release('quiet');
  t.ok(recent.isGreedy('loud'), 'it has another one');
  recent.release('quiet');
  t.notOk(recent.isGreedy('loud'));
  recent.hold('loud');
  t.notOk(recent.isGreedy('loud'), 'its own');
});
