/** When a pool may start sandboxes: backoffs, and the rest between starts for a user who takes many. */
import { BrokenCircuitError } from 'cockatiel';
import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { StartPace } from '../../../../workers/docker/pool/start-pace.js';

const broken = new FairleadError('ERR_SANDBOX', 'the image does not start');
const away = new FairleadError('ERR_UNAVAILABLE', 'Docker does not answer');

t.test('starts rest only after a greedy user’s lease, and waiters are counted only then', async (t) => {
  const pace = new StartPace(2);
  let counts = 0;
  const modest = (): number => {
    counts++;
    return 3;
  };
  t.equal(pace.churn(modest), undefined);
  t.equal(counts, 0);
  const large = new StartPace(64);
  for (const each of [pace, large]) {
    each.noteGreedy();
    each.noteStarted(400);
  }
  const before = performance.now();
  const churn = pace.churn(modest);
  t.equal(churn?.modest, 3);
  t.ok((churn?.notBefore ?? 0) > before, 'the last start took as long');
  t.equal(churn?.atOnce, 1);
  t.equal(large.churn(modest)?.atOnce, 8);
  t.ok((large.churn(modest)?.notBefore ?? Infinity) < before + 60, 'on many processors others hardly notice');
});

t.test('a greedy user is given one warm sandbox in the time of a start', async (t) => {
  const [pace, large] = [new StartPace(2), new StartPace(64)];
  for (const each of [pace, large]) {
    each.noteStarted(60_000);
    t.ok(each.mayGive);
    each.noteGiven();
    t.notOk(each.mayGive);
  }
});

t.test('a broken image refuses its waiters until its backoff is over, and a start ends it', async (t) => {
  const pace = new StartPace();
  t.equal(pace.refusal, undefined);
  t.equal(pace.noteFailed(broken).failures, 1);
  t.equal(pace.noteFailed(broken).failures, 2);
  t.equal(pace.refusal, broken);
  pace.noteStarted(100);
  t.equal(pace.refusal, undefined);
  t.equal(pace.health.failures, 0);
});

t.test('a daemon that is back ends the backoff of its absence, and no other', async (t) => {
  const pace = new StartPace();
  pace.noteFailed(broken);
  t.equal(pace.noteBack(false), false);
  t.equal(pace.health.failures, 1);
  pace.noteFailed(away);
  t.match(pace.refusal, { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
  t.equal(pace.noteBack(false), true);
  t.equal(pace.health.failures, 0);
});

t.test('where the daemon is back, who lives to see the next start is kept, and new callers wait', async (t) => {
  const pace = new StartPace();
  pace.noteBack(false);
  pace.noteFailed(away);
  const now = performance.now();
  const patient = { since: now, deadline: now + 20_000 };
  t.equal(pace.keeps(away)(patient), false, 'it answered for the first time: nobody knows of an outage');
  pace.noteBack(true);
  pace.noteFailed(away);
  t.equal(pace.refusal, undefined);
  t.equal(pace.keeps(away)(patient), true);
  t.equal(pace.keeps(away)({ since: now, deadline: now + pace.backoffLeftMs }), false, 'the next start comes too late');
  pace.noteFailed(broken);
  t.equal(pace.keeps(broken)(patient), false);
  t.equal(pace.refusal, broken, 'for a broken image there is nothing to wait for');
});

t.test('what the circuit breaker refuses is kept for as long as the daemon’s return may be unnoticed', async (t) => {
  const pace = new StartPace();
  const refused = new FairleadError('ERR_UNAVAILABLE', 'refused for a moment', { cause: new BrokenCircuitError() });
  pace.noteFailed(refused);
  const now = performance.now();
  const deadline = now + 20_000;
  t.equal(pace.keeps(refused)({ since: now, deadline }), true);
  t.equal(pace.keeps(refused)({ since: now - 3_000, deadline }), false);
  t.equal(pace.keeps(away)({ since: now, deadline }), false, 'the daemon was asked, and did not answer');
});
