/** Where results come from, in words: machine, Node, commit; one text for all results that share them. */
import type { BenchResult, Machine } from '../suite/bench.js';

export function machineText({ cpus, model, memoryGib, kernel, node }: Machine): string {
  return `${cpus} × ${model}, ${memoryGib} GiB, kernel ${kernel}, Node ${node}`;
}

export function setupText({ machine, commit, dirty }: BenchResult): string {
  const at = commit === '' ? 'outside of a repository' : `commit ${commit}${dirty ? ' with changes' : ''}`;
  return `${machineText(machine)}, ${at}`;
}

/** In the order of each one's first result. */
export function setups(results: readonly BenchResult[]): { setup: string; benches: string[] }[] {
  const benches = new Map<string, string[]>();
  for (const result of results) {
    const setup = setupText(result);
    benches.set(setup, [...(benches.get(setup) ?? []), result.bench]);
  }
  return [...benches].map(([setup, names]) => ({ setup, benches: names }));
}
