/** How a process of this bench lives and ends: with the one that forked it. Runs in the forked ones. */

/** A terminal's Ctrl-C reaches all processes: who forked this one ends it when it is no longer needed. */
export function liveWithParent(): void {
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => process.exit());
}

export function tell(message: object): void {
  process.send?.(message);
}
