/** Whether a ratio that was read from a file meets its aim. */
import type { Ratio } from '../suite/bench.js';
import { verdict } from '../suite/terminal.js';

/** `met`, `missed`, or '' without an aim. A missing value is `null` in JSON, which would compare as 0. */
export function readVerdict(ratio: Ratio): string {
  return Number.isFinite(ratio.value) ? verdict(ratio) : 'no figure';
}
