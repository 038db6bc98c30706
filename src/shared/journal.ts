/** Whether systemd's journal reads a descriptor of this process, and the priorities that it understands there. Every thread. */
import { fstatSync } from 'node:fs';

/** systemd sets JOURNAL_STREAM to the device and inode of the stream. A child whose output goes elsewhere inherits it, so both are compared. */
export function isJournal(fd: number, env: NodeJS.ProcessEnv = process.env): boolean {
  const stream = env['JOURNAL_STREAM'];
  if (!stream) return false;
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return stream === `${dev}:${ino}`;
}

/** sd-daemon(3): 2 critical, 3 error, 4 warning, 6 information, 7 debug. */
const PRIORITIES: readonly [atLeast: number, priority: number][] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
];
const DEBUG = 7;

/** A line of the log with its level as the journal reads it, so that `journalctl -p err` finds errors. The journal takes the prefix off. */
export function withPriority(line: string): string {
  const level = Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? 0);
  const priority = PRIORITIES.find(([atLeast]) => level >= atLeast)?.[1] ?? DEBUG;
  return `<${priority}>${line}`;
}
