/** A result as a bench might write it, for tests that read results. */
import type { BenchResult, Ratio } from '../../bench/suite/bench.js';

export function someResult(over: Partial<BenchResult> = {}): BenchResult {
  return {
    format: 1,
    bench: 'http',
    question: 'How many requests a second?',
    form: 'short',
    machine: { cpus: 2, model: 'A Processor', memoryGib: 24, kernel: '6.1.0', node: 'v20.20.2' },
    commit: 'abc1234',
    dirty: false,
    startedAt: '2026-11-28T12:00:00.000Z',
    seconds: 30.5,
    settings: { connections: 64, warm: true },
    ratios: [
      someRatio(),
      someRatio({ id: 'first-byte', name: 'first byte, p99', value: 12, unit: 'ms', better: 'lower', aim: 10 }),
    ],
    tables: [{ title: 'Requests a second', head: ['server', 'a second'], rows: [['bare', 52_300]] }],
    plots: [
      {
        title: 'By connections',
        x: 'connections',
        y: 'requests/s',
        scale: 'log',
        lines: [{ name: 'bare', points: [[1, 10]] }],
      },
    ],
    doubts: ['the client was busy'],
    ...over,
  };
}

export function someRatio(over: Partial<Ratio> = {}): Ratio {
  return {
    id: 'requests',
    name: 'requests: ours of bare',
    value: 0.97,
    unit: '×',
    better: 'higher',
    aim: 0.9,
    ...over,
  };
}

/** Of one ratio, a result for each value. */
export function runsOf(
  values: readonly number[],
  ratio: Partial<Ratio> = {},
  over: Partial<BenchResult> = {},
): BenchResult[] {
  return values.map((value, index) =>
    someResult({ startedAt: `2026-11-28T12:0${index}:00.000Z`, ratios: [someRatio({ ...ratio, value })], ...over }),
  );
}
