/** A forked process of this bench ends with its parent. Runs in the forked processes. */

/** Ignores a terminal's Ctrl-C, which reaches all processes: the parent ends this one in order. */
export function liveWithParent(): void {
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => process.exit());
}

export function tell(message: object): void {
  process.send?.(message);
}
