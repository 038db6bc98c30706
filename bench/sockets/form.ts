/** Sizes of the two forms: the short one has a budget of 80 s, the full one goes up to the limit of file descriptors. */
import type { Shape } from './deltas-part.js';
import { fdLimit } from './proc.js';

export interface Form {
  expectedMs: number;
  idle: { sockets: number; atOnce: number; settleMs: number };
  proof: { depths: number[]; rounds: number };
  frames: { sockets: number; depths: number[]; rounds: number; windowMs: number };
  deltas: { shape: Shape; rounds: number; others: Shape[] };
  slow: { readers: number; deltas: number; chunk: number; gapMs: number; turns: number };
}

const MOST_SESSIONS = 15_000;
/** File descriptors for warm-up sockets, files, logs, Redis and the model. */
const OTHER_FDS = 3_000;

export async function formOf(full: boolean): Promise<Form> {
  if (!full) {
    return {
      expectedMs: 75_000,
      idle: { sockets: 10_000, atOnce: 200, settleMs: 600 },
      proof: { depths: [1, 16, 64], rounds: 1 },
      frames: { sockets: 64, depths: [1, 16], rounds: 3, windowMs: 500 },
      deltas: { ...shapes(600), rounds: 2 },
      slow: { readers: 20, deltas: 200, chunk: 4_096, gapMs: 4, turns: 6 },
    };
  }
  return {
    expectedMs: 420_000,
    idle: { sockets: Math.min(MOST_SESSIONS, (await fdLimit()) - OTHER_FDS), atOnce: 200, settleMs: 2_000 },
    proof: { depths: [1, 2, 4, 8, 16, 32, 64], rounds: 3 },
    frames: { sockets: 64, depths: [1, 2, 4, 8, 16, 32, 64], rounds: 4, windowMs: 1_500 },
    deltas: { ...shapes(2_000), rounds: 5 },
    slow: { readers: 50, deltas: 500, chunk: 4_096, gapMs: 4, turns: 8 },
  };
}

/** 400 sockets each, of more and more sessions: with fewer clients a session, the agent thread works more for each delta. */
function shapes(deltas: number): { shape: Shape; others: Shape[] } {
  return {
    shape: { sessions: 4, clients: 100, deltas },
    others: [
      { sessions: 1, clients: 400, deltas },
      { sessions: 40, clients: 10, deltas: Math.round(deltas / 3) },
      { sessions: 400, clients: 1, deltas: Math.round(deltas / 10) },
    ],
  };
}
