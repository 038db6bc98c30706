/** The main thread's commands to its worker threads, and the layout of their counters. */

export interface ConnectCommand {
  type: 'connect';
  group: number;
  host: string;
  port: number;
  /** The socket of index i takes the path i modulo their number. */
  paths: string[];
  /** Sent as the bearer token; '' sends none. */
  token: string;
  /** Number in the whole group; this thread opens its own share. */
  count: number;
  atOnce: number;
  /** Frames that the server sends on its own before the socket counts as attached. */
  readyFrames: number;
  /** Sent right after the upgrade, as a text frame. */
  hello: string;
  /** Frames that begin with one of these are counted separately. */
  marks: string[];
  /** Records the pauses between two reads of each socket. */
  gaps: boolean;
}

export type Command =
  | ConnectCommand
  /** Each socket sends `depth` frames in one write, and again when all are answered. */
  | { type: 'pump'; group: number; payload: string; depth: number }
  /** Resolves when nothing is unanswered. */
  | { type: 'rest'; group: number }
  /** One frame on each socket whose index is below `first`. */
  | { type: 'send'; group: number; payload: string; first: number }
  | { type: 'read'; group: number; on: boolean }
  /** Resolves when this thread's sockets have received `each` frames of that mark, on average, since the last `until`. */
  | { type: 'until'; group: number; mark: number; each: number }
  | { type: 'gaps'; group: number }
  /** Cuts all sockets of the group. */
  | { type: 'drop'; group: number };

export interface Attached {
  /** ms from the connect to the last of `readyFrames`, one for each socket. */
  times: number[];
}

/** Counts of socket pauses: the index is whole ms, the last one means «or more». */
export type Gaps = number[];

export interface Results {
  connect: Attached;
  pump: null;
  rest: null;
  send: null;
  read: null;
  until: null;
  gaps: Gaps;
  drop: null;
}

export interface Asked {
  id: number;
  command: Command;
}

export type Answered = { id: number; result: Results[Command['type']] } | { id: number; error: string };

export interface WorkerInput {
  thread: number;
  threads: number;
  counts: SharedArrayBuffer;
}

export const MAX_GROUPS = 32;
export const MAX_MARKS = 3;
export const MAX_GAP_MS = 1_000;

/** A thread's counters: one Float64Array with a row for each group. */
export const SLOT = { framesIn: 0, bytesIn: 1, framesOut: 2, open: 3, closed: 4, marks: 5 } as const;
export const SLOTS = SLOT.marks + MAX_MARKS;

export function countsBytes(): number {
  return MAX_GROUPS * SLOTS * Float64Array.BYTES_PER_ELEMENT;
}
