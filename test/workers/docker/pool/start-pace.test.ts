/** When a pool may start sandboxes: backoffs, and the rest between starts for a user who takes many. */
import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { StartPace } from '../../../../workers/docker/pool/start-pace.js';

const broken = new FairleadError('ERR_SANDBOX', 'the image does not start');
const away = new FairleadError('ERR_UNAVAILABLE', 'Docker does not answer');

t.test('starts rest only after a greedy user’s lease, and waiters are counted only then', async (t) => {
  const pace = new StartPace();
  let counts = 0;
  const modest = (): number => {
    counts++;
    return 3;
  };
  t.equal(pace.churn(modest), undefined);
  t.equal(counts, 0);
  pace.noteGreedy();
  pace.noteStarted(400);
  const before = performance.now();
  const churn = pace.churn(modest);
  t.equal(churn?.modest, 3);
  t.ok((churn?.notBefore ?? 0) > before, 'the last start took as long');
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
  t.equal(pace.noteBack(), false);
  t.equal(pace.health.failures, 1);
  pace.noteFailed(away);
  t.match(pace.refusal, { code: 'ERR_UNAVAILABLE', retryAfterMs: Number });
  t.equal(pace.noteBack(), true);
  t.equal(pace.health.failures, 0);
});
