/** What a server holds when nobody is connected: open files, and what keeps its threads' loops alive. Runs in tests. */
import { until } from '../helpers/until.js';
import { openFiles } from './open-files.js';
import type { World } from './world.js';

/** Longer than Node and the model's client keep an unused connection, and than a spare thread takes to load. */
const STILL_MS = 8_000;
const TIMEOUT_MS = 90_000;
/** Node 20 never closes a module's file that is being opened when its thread dies; Node 24 does. Fairlead cannot. */
const MODULE = /\.m?js$/;

/** Sorted words, the same for two processes that hold the same. */
export async function heldAtRest(world: World): Promise<string[]> {
  const ports = { [world.redis.port]: 'redis', [Number(new URL(world.model.url).port)]: 'model' };
  const look = async (): Promise<string[]> => [
    ...(await openFiles(world.engine.pid, ports)).filter((file) => !MODULE.test(file)),
    ...(await world.loopResources()).sort(),
  ];
  let held = await look();
  let since = performance.now();
  const still = async (): Promise<boolean> => {
    const before = held.join();
    held = await look();
    if (held.join() !== before) since = performance.now();
    return performance.now() - since > STILL_MS;
  };
  await until('the server is at rest', still, { timeoutMs: TIMEOUT_MS, tell: () => held.join('\n') });
  return held;
}

/** What only one of the two holds, with the difference in number; empty when they hold the same. */
export function differenceOf(before: readonly string[], after: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const each of before) counts.set(each, (counts.get(each) ?? 0) + 1);
  for (const each of after) counts.set(each, (counts.get(each) ?? 0) - 1);
  return [...counts].flatMap(([what, count]) => (count === 0 ? [] : [`${count > 0 ? '+' : ''}${count} ${what}`]));
}
