/** Reads a whole history in slices, so that a long one does not hold the thread for everybody. Agent threads. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { decodeBlock } from '../store/history-codec.js';
import type { Store, TranscriptMessage } from '../store/store.js';

/** The thread does other work after so long; a block takes up to some ten milliseconds, since a message is never cut. */
const SLICE_MS = 2;
/** Sealing moves the newest blocks while they are read. It follows a commit, and the caller holds commits back. */
const MAX_RESTARTS = 5;

type Reader = Pick<Store, 'readHistory' | 'readHistoryBlock'>;

/** The same as `readHistory`. No step of the session must be committed meanwhile. */
export async function readInSlices(store: Reader, session: string): Promise<TranscriptMessage[]> {
  for (let restarts = 0; restarts <= MAX_RESTARTS; restarts++) {
    const messages = await tryRead(store, session);
    if (messages) return messages;
  }
  return store.readHistory(session);
}

/** Undefined when the blocks were sealed meanwhile. */
async function tryRead(store: Reader, session: string): Promise<TranscriptMessage[] | undefined> {
  const messages: TranscriptMessage[] = [];
  let generation: number | undefined;
  let began = performance.now();
  for (let from = 0; ;) {
    const found = await store.readHistoryBlock(session, { from });
    if (generation !== undefined && found.generation !== generation) return undefined;
    generation = found.generation;
    if (found.block === undefined || found.at === undefined) return messages;
    for (const message of decodeBlock(found.block)) messages.push(message);
    from = found.at + 1;
    if (performance.now() - began < SLICE_MS) continue;
    await nextTurn();
    began = performance.now();
  }
}
