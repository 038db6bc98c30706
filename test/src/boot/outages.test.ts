import t, { type Test } from 'tap';
import { Outages } from '../../../src/boot/outages.js';

function watched(): { outages: Outages; lines: [Record<string, unknown>, string][] } {
  const lines: [Record<string, unknown>, string][] = [];
  const log = (fields: unknown, text?: unknown): void =>
    void lines.push([fields as Record<string, unknown>, String(text)]);
  return { outages: new Outages({ error: log, warn: log }), lines };
}

t.test('an outage has a line when it begins and one when it ends, with how long it was', (t: Test) => {
  const { outages, lines } = watched();
  outages.note('store', undefined, 1);
  outages.note('store', 'ECONNREFUSED', 0);
  outages.note('store', 'ECONNREFUSED', 1);
  t.match(outages.current(), [{ part: 'store', why: 'ECONNREFUSED', since: Number }]);
  outages.note('store', undefined, 0);
  t.equal(lines.length, 1, 'a thread finds it away still');
  outages.note('store', undefined, 1);
  t.same(outages.current(), []);
  t.match(lines, [
    [{ part: 'store', why: 'ECONNREFUSED' }, 'an outage has begun: store'],
    [{ part: 'store', began: /^\d{4}-.*Z$/, ms: Number }, /^an outage has ended after \d+\.\d s: store$/],
  ]);
  t.end();
});

t.test('a part that comes and goes does not fill the log, and what has no line is counted', (t: Test) => {
  const { outages, lines } = watched();
  for (let time = 0; time < 1_000; time++) {
    outages.note('docker', 'circuit breaker open');
    outages.note('docker', undefined);
  }
  t.ok(lines.length >= 20 && lines.length <= 24, `${lines.length} lines`);
  outages.note('model', 'overloaded');
  t.match(lines.at(-1), [{ part: 'model' }, 'an outage has begun: model'], 'each part has its own rate');
  t.end();
});
