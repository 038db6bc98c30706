/** Seals the tail of a history: merges its small blocks into one with high compression. Pure; agent threads. */
import { contentBytes, mergeBlocks } from './history-codec.js';

/** The tail is sealed when its content reaches this size; a merged group never grows past twice it. */
export const SEAL_BYTES = 32 * 1024;
/** A block this large is kept as it is: high compression would block the event loop, and it is a single entry already. */
const LARGE_BYTES = 2 * SEAL_BYTES;

export interface Tail {
  blocks: number;
  bytes: number;
}

export interface SealedTail {
  /** Replace the old tail, in order. */
  blocks: Buffer[];
  /** What is still unsealed at the end of `blocks`. */
  tail: Tail;
}

export function wantsSeal(tailBytes: number): boolean {
  return tailBytes >= SEAL_BYTES;
}

/** `blocks`: the unsealed tail of a history, oldest first. */
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
