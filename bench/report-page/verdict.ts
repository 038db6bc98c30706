/** What a ratio that was read from a file says of its aim. */
import type { Ratio } from '../suite/bench.js';
import { verdict } from '../suite/terminal.js';

/** `met`, `missed`, '' without an aim. A value that was no number is `null` in JSON, and would compare as 0. */
export function readVerdict(ratio: Ratio): string {
  return Number.isFinite(ratio.value) ? verdict(ratio) : 'no figure';
}
