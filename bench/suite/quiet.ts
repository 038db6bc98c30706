/** Was the machine free for the bench? Its processors' time, by what it was spent on. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_MS = 1_000;
const MIN_IDLE = 0.85;
const MAX_STEAL = 0.02;

interface Ticks {
  total: number;
  idle: number;
  steal: number;
}

/** Resolves with why a bench that begins now cannot be trusted; undefined when nothing else runs. */
export async function busyBefore(signal: AbortSignal): Promise<string | undefined> {
  const before = await ticks();
  await delay(LOOK_MS, undefined, { signal });
  const after = await ticks();
  const idle = (after.idle - before.idle) / Math.max(1, after.total - before.total);
  if (idle >= MIN_IDLE) return undefined;
  return `the machine was busy when it began: ${percent(1 - idle)} of its processors' time was taken`;
}

/** Resolves with a function that says, at the end, what the host below this machine has taken. */
export async function watchSteal(): Promise<() => Promise<string | undefined>> {
  const before = await ticks();
  return async () => {
    const after = await ticks();
    const steal = (after.steal - before.steal) / Math.max(1, after.total - before.total);
    if (steal <= MAX_STEAL) return undefined;
    return `other machines of the same host took ${percent(steal)} of the processors' time`;
  };
}

/** proc(5): user, nice, system, idle, iowait, irq, softirq, steal. */
async function ticks(): Promise<Ticks> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n', 1);
  const values = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, iowait = 0, , , steal = 0] = values;
  return { total: values.reduce((sum, value) => sum + value, 0), idle: idle + iowait, steal };
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
