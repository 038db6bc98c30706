import t from 'tap';
import { aligned } from '../../../bench/report-page/aligned.js';
import type { Plot } from '../../../bench/suite/bench.js';

const lines = (...points: [number, number][][]): Plot['lines'] =>
  points.map((each) => ({ name: 'line', points: each }));

t.test('lines with points at other places share one sorted list of x-values', async (t) => {
  const a: [number, number][] = [
    [100, 3],
    [1, 1],
  ];
  const b: [number, number][] = [
    [10, 5],
    [100, 6],
  ];
  t.strictSame(aligned({ lines: lines(a, b) }), [
    [1, 10, 100],
    [1, null, 3],
    [null, 5, 6],
  ]);
});

t.test('what is no number is left out, as is a zero on a logarithmic axis', async (t) => {
  const fromJson = JSON.parse('[[1,null],[null,2],[0,3],[2,4]]') as [number, number][];
  t.strictSame(aligned({ lines: lines(fromJson) }), [
    [0, 2],
    [3, 4],
  ]);
  t.strictSame(aligned({ lines: lines(fromJson), scale: 'log' }), [[2], [4]]);
  t.strictSame(aligned({ lines: [] }), [[]]);
});
