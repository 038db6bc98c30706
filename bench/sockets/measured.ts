/** The results of the parts of this bench, and the aims. */
import type { Rate, Shape } from './deltas-part.js';
import type { Form } from './form.js';
import type { FrameRate } from './frames-part.js';
import type { IdleCost } from './idle-part.js';
import type { SlowResult } from './slow-part.js';
import type { Kind } from './wire.js';

export interface Measured {
  form: Form;
  pinned: boolean;
  idle: IdleCost[];
  /** The generator against bare uWebSockets.js. */
  proof: FrameRate[];
  frames: FrameRate[];
  /** The first is Fairlead. */
  deltas: { name: string; rates: Rate[] }[];
  shapes: { shape: Shape; rate: Rate }[];
  slow: SlowResult;
}

export const FRAMES_AIM = 0.4;
export const DELTAS_AIM = 100_000;
export const IDLE_AIM_KIB = 4;

export function rateOf(frames: readonly FrameRate[], kind: Kind, depth: number): number {
  return frames.find((row) => row.kind === kind && row.depth === depth)?.rate ?? Number.NaN;
}

export function cpuOf(frames: readonly FrameRate[], kind: Kind, depth: number): number {
  return frames.find((row) => row.kind === kind && row.depth === depth)?.cpuUs ?? Number.NaN;
}
