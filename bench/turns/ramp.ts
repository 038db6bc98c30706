/** More and more users until a limit is exceeded; then steps between the last good and the first bad number. */
import type { BenchContext } from '../suite/bench.js';
import { measure, type Stretch, type StretchOptions } from './meter.js';
import { errorShare, firsts } from './samples.js';
import type { Stand } from './stand.js';
import { percentile } from '../shared/figures.js';
import { orInterrupted } from '../shared/work.js';

export interface RampPlan {
  first: number;
  max: number;
  /** Steps after the first one over a limit. */
  bisections: number;
  fairlead: Pick<StretchOptions, 'warmMs' | 'measureMs'>;
  sdk: Pick<StretchOptions, 'warmMs' | 'measureMs'>;
  /** The model's own time to the first token. */
  modelDelayMs: number;
  limits: Limits;
}

export interface Limits {
  errorShare: number;
  /** Limit of the time added to the first token, p95. */
  addedMs: number;
}

export interface Step {
  people: number;
  sdk: Stretch;
  fairlead: Stretch;
  /** The exceeded limits, in words. */
  over: string[];
}

/** At each step both ways take a turn, with the same users and messages. */
export async function runRamp(stand: Stand, plan: RampPlan, { signal, progress }: BenchContext): Promise<Step[]> {
  const steps: Step[] = [];
  for (let people = nextPeople(steps, plan); people !== undefined; people = nextPeople(steps, plan)) {
    progress(`${people} people attach`);
    await orInterrupted(stand.crowd.attach(people), signal);
    progress(`${people} people, the SDK alone`);
    const sdk = await measure(stand, { way: 'sdk', people, ...plan.sdk }, signal);
    progress(`${people} people, Fairlead`);
    const fairlead = await measure(stand, { way: 'fairlead', people, ...plan.fairlead }, signal);
    steps.push({ people, sdk, fairlead, over: whatIsOver(fairlead, plan) });
  }
  return steps;
}

/** Undefined when it is known well enough. */
export function nextPeople(
  steps: readonly Pick<Step, 'people' | 'over'>[],
  { first, max, bisections }: Pick<RampPlan, 'first' | 'max' | 'bisections'>,
): number | undefined {
  const brokeAt = steps.findIndex(({ over }) => over.length > 0);
  if (brokeAt < 0) {
    const next = steps.length === 0 ? first : (steps.at(-1)?.people ?? 0) * 2;
    return next <= max ? next : undefined;
  }
  const knee = kneeOf(steps)?.people;
  if (knee === undefined || steps.length - brokeAt > bisections) return undefined;
  const broken = Math.min(...steps.filter(({ over }) => over.length > 0).map(({ people }) => people));
  const middle = Math.round((knee + broken) / 2);
  return middle > knee && middle < broken ? middle : undefined;
}

/** The knee: the most users within the limits, with no smaller step over them. */
export function kneeOf<T extends Pick<Step, 'people' | 'over'>>(steps: readonly T[]): T | undefined {
  const sorted = steps.toSorted((a, b) => a.people - b.people);
  const brokeAt = sorted.findIndex(({ over }) => over.length > 0);
  return brokeAt < 0 ? sorted.at(-1) : sorted[brokeAt - 1];
}

function whatIsOver(stretch: Stretch, { limits, modelDelayMs }: RampPlan): string[] {
  const over: string[] = [];
  if (stretch.turns.length === 0) over.push('no turn');
  if (errorShare(stretch) > limits.errorShare) over.push('errors');
  if (percentile(firsts(stretch), 95) - modelDelayMs > limits.addedMs) over.push('first token');
  return over;
}
