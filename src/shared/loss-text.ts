/** What a loss of files is called: for the model, for people, in chat. Pure; every thread. */

/** Files of a session that are gone with the sandbox that had them. */
export interface LostFiles {
  /** Key in `mcpServers`. */
  server: string;
  reason: string;
  /** When the newest save that comes back began, ms since the epoch. Absent: nothing comes back. */
  since?: number;
  /** Paths that this save left out, or a sentence about them. Bounded. */
  missing?: string[];
}

export function lossText({ server, reason, since, missing = [] }: LostFiles): string {
  const lost =
    since === undefined
      ? 'Its files are lost'
      : `Files changed after ${new Date(since).toISOString()} are lost, the others are back`;
  const left = missing.length === 0 ? '' : ` Not saved: ${missing.join(', ')}.`;
  return `The sandbox of ${server} was replaced (${reason}). ${lost}.${left}`;
}
