/** Why a figure of this bench cannot be trusted, or why an aim was missed, in words. */
import { isMet, type Ratio } from '../suite/bench.js';
import { cpuOf, FRAMES_AIM, IDLE_AIM_KIB, type Measured } from './measured.js';
import { median } from '../shared/figures.js';

/** A thread that is busier than this is saturated. */
const FULL = 0.93;
/** Generator and server wait only for each other: one of the two must be this busy. */
const IDLE = 0.85;
/** Readings of one server that holds the same differ by as much. */
const READING_MIB = 10;

export function doubtsOf(measured: Measured, ratios: readonly Ratio[]): string[] {
  return [
    ...generatorDoubts(measured),
    ...quietDoubts(measured),
    ...shareDoubts(measured),
    ...aimDoubts(measured, ratios),
  ];
}

/** With a saturated generator, the server could have done more. */
function generatorDoubts({ frames, deltas, pinned }: Measured): string[] {
  const doubts: string[] = [];
  for (const { name, depth, serverBusy, generatorBusy } of frames) {
    if (generatorBusy < FULL) continue;
    doubts.push(
      `${name}, ${depth} in flight: the generator was at its limit (${percent(generatorBusy)} busy, the server ${percent(serverBusy)}), so the server may be able to do more; see the figure for a CPU second`,
    );
  }
  for (const { name, rates } of deltas) {
    const generator = median(rates.map(({ generatorBusy }) => generatorBusy));
    const server = median(rates.map(({ serverBusy }) => serverBusy));
    if (generator < FULL) continue;
    doubts.push(
      `deltas, ${name}: the generator was at its limit (${percent(generator)} busy, the server ${percent(server)})`,
    );
  }
  if (!pinned) doubts.push('taskset is missing or there is one processor: generator and server took each other’s');
  return doubts;
}

function quietDoubts({ frames, deltas }: Measured): string[] {
  const [, ...bare] = deltas; // Fairlead's may wait for the model and the agent thread
  const rows = [
    ...frames.map(({ name, depth, ...busy }) => ({ name: `${name}, ${depth} in flight`, ...busy })),
    ...bare.flatMap(({ name, rates }) => rates.map((busy) => ({ name: `deltas, ${name}`, ...busy }))),
  ];
  const quiet = rows.filter(({ serverBusy, generatorBusy }) => Math.max(serverBusy, generatorBusy) < IDLE);
  const [first] = quiet;
  if (!first) return [];
  const told = `${quiet.length} of ${rows.length} figures (the first: ${first.name})`;
  return [`neither server nor generator was at its limit, so something else had the processors: ${told}`];
}

function shareDoubts({ deltas }: Measured): string[] {
  return deltas.flatMap(({ name, rates }) => {
    const least = Math.min(...rates.map(({ share }) => share));
    if (least >= 0.99) return [];
    return [
      `deltas, ${name}: ${percent(1 - least)} of the pieces came joined to another, or were skipped for a slow reader`,
    ];
  });
}

function aimDoubts({ frames, form }: Measured, ratios: readonly Ratio[]): string[] {
  return ratios.flatMap((ratio) => {
    if (isMet(ratio) !== false) return [];
    if (ratio.aim === IDLE_AIM_KIB) {
      const noise = (READING_MIB * 1_024) / form.idle.sockets;
      return [
        `an idle session: the heaps of three threads come and go in steps of some ${READING_MIB} MiB, which is ${noise.toFixed(1)} KiB for each of ${form.idle.sockets} sessions; the long form is more exact`,
      ];
    }
    const depth = Number(/^frames-(\d+)$/.exec(ratio.id)?.[1]);
    if (!(depth > 1 && ratio.aim === FRAMES_AIM)) return [];
    const us = (kind: 'uws' | 'uws-json' | 'fairlead'): string => cpuOf(frames, kind, depth).toFixed(2);
    return [
      `${depth} frames in one write: the system calls are shared by ${depth} frames and what is left is JavaScript; bare ${us('uws')} µs a frame, with no more than JSON in and out ${us('uws-json')} µs, Fairlead ${us('fairlead')} µs`,
    ];
  });
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
