/** Preloaded into every thread of the measured server: logs its thread id, and does nothing else. */
import { readlinkSync, writeSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';

/** The link is `PID/task/TID` of the thread that reads it. */
const tid = Number(/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1]);
/** An agent thread's index; a spare one has none yet. */
const index = (workerData as { index?: unknown } | null)?.index;
const line = { level: 30, msg: 'bench: a thread', tid, name: nameOf(process.argv[1] ?? '') };
writeSync(1, `${JSON.stringify(line)}\n`);

function nameOf(file: string): string {
  if (isMainThread) return 'main';
  if (typeof index === 'number') return index >= 0 ? `agent-${index}` : 'agent, spare';
  return file.includes('piscina') ? 'docker' : 'another';
}
