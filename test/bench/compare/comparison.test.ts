import t from 'tap';
import { compare, differences, doubtsOf } from '../../../bench/compare/comparison.js';
import { idOf } from '../../../bench/compare/old-names.js';
import { report } from '../../../bench/compare/text.js';
import { runsOf, someRatio, someResult } from '../some-result.js';

const side = (name: string, ...results: ReturnType<typeof runsOf>[]) => ({ name, results: results.flat() });

const both = (first: number, second: number) =>
  [0, 0.001, 0.002].map((more) =>
    someResult({
      ratios: [
        someRatio({ value: first + more }),
        someRatio({ id: 'p99', name: 'p99', value: second, better: 'lower', unit: 'ms' }),
      ],
    }),
  );

t.test('the same ratio of the same bench and form is put side by side', async (t) => {
  const a = side('a', runsOf([1, 1.1]), runsOf([5], {}, { form: 'full' }), runsOf([7], {}, { bench: 'pool' }));
  const b = side('b', runsOf([1, 1.2]), runsOf([7], {}, { bench: 'pool' }), runsOf([1], { unit: 'ms' }));
  t.match(compare(a, b), [
    { bench: 'http', ratio: { unit: '×' }, change: 'same', a: { runs: 2 }, b: { runs: 2, max: 1.2 } },
    { bench: 'http (full)', change: 'gone' },
    { bench: 'pool', change: 'same' },
    { bench: 'http', ratio: { unit: 'ms' }, change: 'new' },
  ]);
});

t.test('a renamed ratio is found again by its id, and shown with its new name', async (t) => {
  const found = compare(side('a', runsOf([1])), side('b', runsOf([1], { name: 'Requests' })));
  t.match(found, [{ ratio: { name: 'Requests' }, change: 'same' }]);
  t.equal(found.length, 1);
});

t.test('a result from before there were ids is matched by its old name', async (t) => {
  const names = [
    ['turns', 'first token p50, 25 people: later than from the SDK alone', 'first-token-p50'],
    ['sockets', 'frames in and out, 16 under way: Fairlead of bare uWebSockets.js', 'frames-16'],
    ['sockets', 'deltas to all: Fairlead of bare uWebSockets.js (publish)', 'deltas-of-bare'],
    ['pool', '60 come at once, 10 on the shelf: half served, of a container made for each', 'burst-60-10-half'],
    ['http', 'healthz, requests/s: Fairlead of node:http', 'rate/healthz/node:http'],
    ['pool', 'unknown', 'unknown'],
  ] as const;
  for (const [bench, name, id] of names) t.equal(idOf(bench, { name }), id);
  const old = runsOf([1], {}, { bench: 'pool' });
  for (const { ratios } of old) {
    for (const ratio of ratios) Object.assign(ratio, { id: undefined, name: 'lease from a warm shelf: p50' });
  }
  const now = runsOf([1], { id: 'lease-p50', name: 'Lease from the warm pool, p50' }, { bench: 'pool' });
  t.match(compare(side('a', old), side('b', now)), [{ change: 'same' }]);
});

t.test('a ratio that changed its direction is not compared with its old self', async (t) => {
  const found = compare(side('a', runsOf([1])), side('b', runsOf([1], { better: 'lower' })));
  t.strictSame(
    found.map(({ change }) => change),
    ['gone', 'new'],
  );
});

t.test('what else differs is told: commits, machines, settings, benches', async (t) => {
  const a = side('a', [someResult(), someResult({ commit: 'other' }), someResult({ bench: 'pool' })]);
  const node = { ...someResult().machine, node: 'v24.0.0' };
  const b = side('b', [someResult({ machine: node, settings: { connections: 8 } })]);
  const found = differences(a, b).join('\n');
  t.match(found, 'a has results of several commits: abc1234, other');
  t.match(found, /same machine and Node: .*v20\.20\.2; .*v24\.0\.0/);
  t.match(found, 'the settings of http differ: connections is 64 and 8; warm is true and none');
  t.match(found, 'pool is in a only');
  t.strictSame(differences(side('a', runsOf([1])), side('b', runsOf([2]))), []);
});

t.test('a doubt is told once for all runs that have it', async (t) => {
  const twice = side('a', runsOf([1, 2]));
  t.strictSame(doubtsOf(twice, side('b', runsOf([1], {}, { doubts: [] }))), ['http, a: the client was busy']);
});

t.test('the report says what got worse, and by how much', async (t) => {
  const { text, worse } = report(side('main', both(1, 10)), side('mine', both(0.8, 10)));
  t.equal(worse, true);
  t.match(
    text,
    /requests: ours of bare, higher is better +\| 1\.00 × \(1 to 1\.00\) +\| 0\.801 × .*-20\.0 % .*± 0\.\d %.*WORSE/,
  );
  t.match(text, /p99, lower is better +\| 10 ms \(10 to 10\) +\| 10 ms \(10 to 10\) +\| 0\.0 % +\| ± 0\.0 % +\| +\|/);
  t.match(text, '1 worse, 0 better, 1 the same within the noise\nworse: http: requests: ours of bare');
  t.notMatch(text, 'is taken for it');
  t.notMatch(text, 'more runs show them');
  t.match(report(side('a', runsOf([1, 2, 3])), side('b', runsOf([1, 2, 3]))).text, 'more runs show them');
});

t.test('single runs are told to be too few, and nothing to compare is told too', async (t) => {
  const { text, worse } = report(side('a', runsOf([1])), side('b', runsOf([0.95])));
  t.equal(worse, false);
  t.match(text, '? 20.0 %');
  t.match(text, 'too few runs to know the noise, 20 % is taken for it');
  t.match(report(side('a', [someResult({ ratios: [] })]), side('b')), {
    worse: false,
    text: 'there are no ratios to compare',
  });
});
