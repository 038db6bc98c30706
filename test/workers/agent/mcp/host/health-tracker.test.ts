import t from 'tap';
import { FairleadError } from '../../../../../src/shared/errors.js';
import { HealthTracker } from '../../../../../workers/agent/mcp/host/health-tracker.js';

const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
const away = new FairleadError('ERR_UNAVAILABLE', 'it said: «the secret of ada»', { cause });

t.test('failures in a row make a server degraded, then down; one success makes it healthy', async (t) => {
  const tracker = new HealthTracker({ downAfter: 3 });
  const states = [1, 2, 3].map(() => {
    tracker.failed(away);
    return tracker.current.state;
  });
  t.strictSame(states, ['degraded', 'degraded', 'down']);
  t.match(tracker.current, {
    state: 'down',
    lastError: 'ERR_UNAVAILABLE: Over the limit or not there right now (ECONNREFUSED)',
    era: undefined,
  });
  tracker.succeeded('modern');
  t.match(tracker.current, { state: 'healthy', lastError: undefined, era: 'modern' });
});

t.test('with a circuit breaker only an open circuit is down, however many requests fail', async (t) => {
  const changes: string[] = [];
  const tracker = new HealthTracker({ onChange: (state, before) => changes.push(`${before} → ${state}`) });
  for (let failure = 0; failure < 10; failure++) tracker.failed(away);
  for (const circuit of ['open', 'half-open', 'open', 'half-open'] as const) tracker.circuitIs(circuit);
  tracker.succeeded();
  tracker.circuitIs('closed');
  t.strictSame(changes, [
    'healthy → degraded',
    'degraded → down',
    'down → reconnecting',
    'reconnecting → down',
    'down → reconnecting',
    'reconnecting → healthy',
  ]);
});

t.test('latency is smoothed: one slow answer hardly counts', async (t) => {
  const tracker = new HealthTracker();
  tracker.measured(100);
  tracker.measured(200);
  t.equal(tracker.current.latencyMs, 120);
});

t.test('every user sees the code of an error, and its text only where the request was no user’s', async (t) => {
  const tracker = new HealthTracker();
  tracker.failed(away);
  t.notMatch(tracker.current.lastError, 'secret');
  tracker.failed(new Error('the secret of ada'));
  t.equal(tracker.current.lastError, 'ERR_INTERNAL: A fault in the server');
  tracker.failed(away, { isNobodys: true });
  t.equal(tracker.current.lastError, away.message);
});
