import t from 'tap';
import { HealthTracker } from '../../../../../workers/agent/mcp/host/health-tracker.js';

t.test('failures in a row make a server degraded, then down; one success makes it healthy', async (t) => {
  const tracker = new HealthTracker({ downAfter: 3 });
  const states = [1, 2, 3].map(() => {
    tracker.failed('away');
    return tracker.current.state;
  });
  t.strictSame(states, ['degraded', 'degraded', 'down']);
  t.match(tracker.current, { state: 'down', lastError: 'away', era: undefined });
  tracker.succeeded('modern');
  t.match(tracker.current, { state: 'healthy', lastError: undefined, era: 'modern' });
});

t.test('with a circuit breaker only an open circuit is down, however many requests fail', async (t) => {
  const changes: string[] = [];
  const tracker = new HealthTracker({ onChange: (state, before) => changes.push(`${before} → ${state}`) });
  for (let failure = 0; failure < 10; failure++) tracker.failed('away');
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
