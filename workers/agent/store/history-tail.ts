/** When and how the tail of a history is sealed: small blocks become one with high compression. Pure; runs in agent threads. */
import { contentBytes, mergeBlocks } from './history-codec.js';

/** At this much unsealed content the tail is sealed; a group never grows past twice it. */
export const SEAL_BYTES = 32 * 1024;
/** A block this large is left as it is: high compression of it would hold the event loop, and it is one entry already. */
const LARGE_BYTES = 2 * SEAL_BYTES;

export interface Tail {
  blocks: number;
  bytes: number;
}

export interface SealedTail {
  /** In place of the old tail, in order. */
  blocks: Buffer[];
  /** How much of `blocks`, at the end, is unsealed still. */
  tail: Tail;
}

export function wantsSeal(tailBytes: number): boolean {
  return tailBytes >= SEAL_BYTES;
}

/** What shall stand in place of these blocks, the unsealed tail of a history, oldest first. */
export function sealTail(blocks: readonly Buffer[]): SealedTail {
  const sealed: Buffer[] = [];
  let group: Buffer[] = [];
  let bytes = 0;
  const closeGroup = (): void => {
    const [only] = group;
    if (only !== undefined) sealed.push(group.length === 1 && bytes >= LARGE_BYTES ? only : mergeBlocks(group));
    group = [];
    bytes = 0;
  };
  for (const block of blocks) {
    const length = contentBytes(block);
    if (bytes > 0 && bytes + length > LARGE_BYTES) closeGroup();
    group.push(block);
    bytes += length;
    if (bytes >= SEAL_BYTES) closeGroup();
  }
  return { blocks: [...sealed, ...group], tail: { blocks: group.length, bytes } };
}
