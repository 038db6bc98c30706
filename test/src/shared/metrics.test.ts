import t from 'tap';
import { Registry } from 'prom-client';
import { counter, gauge, histogram, joinMetrics, registry, watchThread } from '../../../src/shared/metrics.js';

void t.test('metrics of one module are in the thread’s registry, and a gauge is asked at each scrape', async (t) => {
  let asked = 0;
  counter('fairlead_test_total', 'a counter', ['how']).inc({ how: 'well' }, 2);
  gauge('fairlead_test_now', 'a gauge', [], (g) => g.set(++asked));
  histogram('fairlead_test_seconds', 'a histogram', [1, 2]).observe(1.5);
  t.match(await registry.metrics(), 'fairlead_test_total{how="well"} 2');
  const text = await registry.metrics();
  t.match(text, 'fairlead_test_now 2');
  t.match(text, 'fairlead_test_seconds_bucket{le="2"} 1');
  t.throws(() => counter('fairlead_test_total', 'again'), 'a name is given once');
});

void t.test('a thread reports the delay of its event loop and its heap', async (t) => {
  const watch = watchThread('test');
  t.teardown(() => watch.close());
  const text = await registry.metrics();
  t.match(text, 'fairlead_event_loop_delay_seconds{thread="test",quantile="0.99"}');
  t.match(text, /fairlead_heap_used_bytes\{thread="test"\} \d{6,}/);
});

void t.test('threads are joined: equal series are summed, those with a thread’s label stay apart', async (t) => {
  const threads = await Promise.all(
    ['a', 'b'].map(async (thread) => {
      const own = new Registry();
      const { Counter, Gauge } = await import('prom-client');
      new Counter({ name: 'joined_total', help: 'x', registers: [own] }).inc(2);
      new Gauge({ name: 'joined_heap', help: 'x', labelNames: ['thread'], registers: [own] }).set({ thread }, 7);
      return structuredClone(await own.getMetricsAsJSON());
    }),
  );
  const text = await joinMetrics(threads);
  t.match(text, 'joined_total 4');
  t.match(text, 'joined_heap{thread="a"} 7');
  t.match(text, 'joined_heap{thread="b"} 7');
  t.equal(await joinMetrics([]), '\n');
});
