/** The parser of WebSocket frames in this process, guided by coverage: whatever comes is a frame or a named error. */
import { parseFrame } from '../../../src/front/frames.js';
import { randomFrom } from '../../chaos/random.js';
import { Coverage } from '../coverage.js';
import { Corpus } from '../corpus.js';
import type { Target } from '../target.js';
import { samples } from '../values.js';

/** Reading the coverage costs as much as some hundred cases. */
const GROUP = 500;
const GROUPS = 4;
/** An error goes back to the client, whatever the frame was. */
const MAX_ERROR = 4_096;

export function framesTarget(seed: number): Target {
  const corpus = new Corpus(samples('frame', 200, seed), randomFrom(seed));
  return {
    name: 'frames (parser)',
    batch() {
      const coverage = new Coverage(['/front/frames.js', '/shared/json-shape.js']);
      const violations: string[] = [];
      for (let group = 0; group < GROUPS; group++) {
        const inputs = Array.from({ length: GROUP }, () => corpus.next());
        for (const input of inputs) {
          const wrong = judge(input);
          if (wrong) violations.push(`${wrong}: ${JSON.stringify(input.slice(0, 300))}`);
        }
        if (coverage.takeNew() > 0) corpus.keep(inputs);
      }
      coverage.stop();
      return { cases: GROUPS * GROUP, violations };
    },
  };
}

function judge(input: string): string | undefined {
  try {
    const result = parseFrame(input);
    if (result.ok) return JSON.parse(JSON.stringify(result.frame)) ? undefined : 'a frame is no data';
    if (!['ERR_BAD_FRAME', 'ERR_BAD_IMAGE'].includes(result.error.code)) return `the error is ${String(result.error)}`;
    return result.error.message.length > MAX_ERROR ? 'the error is as long as the frame' : undefined;
  } catch (error) {
    return `parseFrame threw ${String(error)}`;
  }
}
