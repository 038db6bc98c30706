/** The benches of the suite in their order. Each is loaded in a process of its own. */
import type { Bench } from './bench.js';

export const BENCH_NAMES = [
  'http',
  'sockets',
  'turns',
  'pool',
  'hibernation',
  'memory',
  'history',
  'durability',
  'revocation',
  'files',
  'reload',
  'upgrade',
  'outage',
  'remote',
  'alternatives',
  'threads',
  'attacks',
  'fairness',
  'quotas',
  'controls',
  'console',
  'soak',
] as const;

export type BenchName = (typeof BENCH_NAMES)[number];

export function isBenchName(name: string): name is BenchName {
  return (BENCH_NAMES as readonly string[]).includes(name);
}

/** bench/NAME/bench.ts. */
export async function loadBench(name: BenchName): Promise<Bench> {
  const path = new URL(`../${name}/bench.js`, import.meta.url);
  return ((await import(path.href)) as { bench: Bench }).bench;
}
