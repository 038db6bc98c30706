/** Runs the benches of two commits in turn, A, B, A, B, so that disturbances of the machine hit both. */
import { join } from 'node:path';
import type { BenchContext, BenchResult } from '../suite/bench.js';
import { writeResult } from '../suite/result.js';
import { Progress } from '../suite/terminal.js';
import type { Side } from './comparison.js';
import { runBench } from './run-bench.js';

export interface Contender {
  /** Its name on the terminal and the folder of its results. */
  letter: 'A' | 'B';
  name: string;
  /** The built work tree. */
  path: string;
}

export interface Turns {
  benches: readonly string[];
  runs: number;
  full: boolean;
  /** The folder that keeps the results, if any. */
  keep?: string;
}

export interface TurnsTaken {
  sides: [a: Side, b: Side];
  /** A sentence each. A bench that failed once does not run again. */
  failures: string[];
}

export type RunBench = (root: string, name: string, context: BenchContext) => Promise<BenchResult | string>;

/** Rejects with the signal's reason when it aborts, after the running bench has ended. */
export async function takeTurns(
  contenders: readonly [a: Contender, b: Contender],
  { benches, runs, full, keep }: Turns,
  signal: AbortSignal,
  run: RunBench = runBench,
): Promise<TurnsTaken> {
  const results: Record<Contender['letter'], BenchResult[]> = { A: [], B: [] };
  const failures: string[] = [];
  for (const bench of benches) {
    turns: for (let turn = 1; turn <= runs; turn++) {
      for (const { letter, name, path } of contenders) {
        const progress = new Progress(`${bench} ${letter} ${turn}/${runs}`);
        const told = await run(path, bench, {
          full,
          signal,
          progress: (doing, share) => progress.show(doing, share),
        }).finally(() => progress.end());
        signal.throwIfAborted();
        if (typeof told === 'string') {
          failures.push(`bench ${bench} of ${letter} (${name}) failed: ${told}`);
          break turns;
        }
        results[letter].push(told);
        if (keep !== undefined) await writeResult(told, join(keep, letter));
      }
    }
  }
  const [a, b] = contenders;
  return {
    sides: [
      { name: a.name, results: results.A },
      { name: b.name, results: results.B },
    ],
    failures,
  };
}
