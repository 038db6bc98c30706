/** Whether the machine was free for the bench, from its processors' time. */
import { setTimeout as delay } from 'node:timers/promises';
import { machineTicks } from './cpu.js';

const LOOK_MS = 1_000;
const MIN_IDLE = 0.85;
const MAX_STEAL = 0.02;

/** Resolves with the reason why a bench that begins now cannot be trusted; undefined when nothing else runs. */
export async function busyBefore(signal: AbortSignal): Promise<string | undefined> {
  const before = await machineTicks();
  await delay(LOOK_MS, undefined, { signal });
  const after = await machineTicks();
  const idle = (after.idle - before.idle) / Math.max(1, after.total - before.total);
  if (idle >= MIN_IDLE) return undefined;
  return `the machine was busy when the bench began: ${percent(1 - idle)} of its processors' time was taken`;
}

/** Resolves with a function that tells, at the end, what other machines of the host have taken. */
export async function watchSteal(): Promise<() => Promise<string | undefined>> {
  const before = await machineTicks();
  return async () => {
    const after = await machineTicks();
    const steal = (after.steal - before.steal) / Math.max(1, after.total - before.total);
    if (steal <= MAX_STEAL) return undefined;
    return `other machines of the same host took ${percent(steal)} of the processors' time`;
  };
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
