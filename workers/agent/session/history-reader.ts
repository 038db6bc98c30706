/**
 * Reads a history in pieces, so that neither this thread nor the main thread holds more than a piece of it: all of it as the
 * stored JSON, or its newest messages. Agent threads.
 */
import { toJson, withoutHalves } from '../../../src/shared/to-json.js';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FairleadError } from '../../../src/shared/errors.js';
import type { HistoryPage, HistoryPiece, HistoryPlace } from '../contract/sessions.js';
import { contentBytes, contentOf, decodeBlock } from '../store/history-codec.js';
import type { FoundBlock, Store } from '../store/store.js';

export const PIECE_BYTES = 256 * 1024;
/** A page ends here, with one message at least. */
export const PAGE_BYTES = 1024 * 1024;
/** Sealing moves the newest blocks while they are read. It happens every 32 KiB, so a reader that is overtaken so often is a fault. */
const MAX_RESTARTS = 20;
/** `[]`. */
const BRACKETS = 2;

type Reader = Pick<Store, 'readHistoryBlock'>;
type Found = Required<Pick<FoundBlock, 'at' | 'block'>> & FoundBlock;

/**
 * The next piece of the messages' JSON, separated by commas, without brackets. Sealing merges blocks, and changes no byte of
 * that text: a place is an offset in it. ERR_UNAVAILABLE when the history was cleared since the first piece.
 */
export async function readPiece(store: Reader, session: string, place?: HistoryPlace): Promise<HistoryPiece> {
  const parts: Buffer[] = [];
  let { offset, at, start, generation } = place ?? { offset: 0, at: 0, start: 0, generation: -1 };
  let { clears } = place ?? {};
  let bytes = 0;
  while (bytes < PIECE_BYTES) {
    const found = await store.readHistoryBlock(session, { from: at });
    // Absent in histories from before it was kept: then the generation has to do.
    const cleared = found.history?.clears ?? -1;
    if (clears !== undefined && clears !== cleared) throw changed();
    clears = cleared;
    if (generation !== found.generation && generation >= 0 && at > 0) {
      // Sealed meanwhile: the blocks are counted again, by their headers.
      [generation, at, start] = [-1, 0, 0];
      continue;
    }
    generation = found.generation;
    if (!isFound(found)) return { bytes: Buffer.concat(parts) };
    const length = contentBytes(found.block) - BRACKETS;
    const separator = start > 0 && length > 0 ? 1 : 0;
    const end = start + separator + length;
    if (offset < end) {
      const text = wholePairs(contentOf(found.block)).subarray(1, -1);
      const whole = separator > 0 ? Buffer.concat([Buffer.from(','), text]) : text;
      const part = whole.subarray(offset - start, offset - start + PIECE_BYTES - bytes);
      parts.push(part);
      bytes += part.length;
      offset += part.length;
    }
    if (offset >= end) [at, start] = [found.at + 1, end];
    await nextTurn();
  }
  return { bytes: Buffer.concat(parts), next: { offset, at, start, generation, clears: clears ?? -1 } };
}

/** Stored as it came, with half surrogate pairs. As long as it was. */
function wholePairs(json: Buffer): Buffer {
  return json.includes(String.raw`\ud`) ? Buffer.from(withoutHalves(json.toString())) : json;
}

/** The newest messages before the message number `before`, as JSON. */
export async function readPage(
  store: Reader,
  session: string,
  { before = Infinity, limit, maxBytes = PAGE_BYTES }: { before?: number; limit: number; maxBytes?: number },
): Promise<HistoryPage> {
  for (let restarts = 0; restarts < MAX_RESTARTS; restarts++) {
    const page = await tryPage(store, session, { before, limit, maxBytes });
    if (page) return page;
  }
  throw changed();
}

/** Undefined when the blocks were sealed or cleared meanwhile. */
async function tryPage(
  store: Reader,
  session: string,
  { before, limit, maxBytes }: { before: number; limit: number; maxBytes: number },
): Promise<HistoryPage | undefined> {
  const newest = await store.readHistoryBlock(session, { to: Number.MAX_SAFE_INTEGER });
  const total = newest.history?.messages ?? (await countMessages(store, session));
  const taken: string[] = [];
  let bytes = 0;
  let end = total;
  for (let found = newest; isFound(found);) {
    const messages = decodeBlock(found.block);
    const start = end - messages.length;
    for (let index = Math.min(before, end) - 1; index >= start; index--) {
      const text = toJson(messages[index - start]);
      bytes += text.length;
      if (taken.length === limit || (taken.length > 0 && bytes > maxBytes)) return pageOf(taken, index + 1);
      taken.push(text);
    }
    end = start;
    await nextTurn();
    found = await store.readHistoryBlock(session, { to: found.at - 1 });
    if (found.generation !== newest.generation) return undefined;
  }
  return pageOf(taken, 0);
}

/** `newestFirst`: the messages' JSON; `first`: the number of the oldest of them. */
function pageOf(newestFirst: readonly string[], first: number): HistoryPage {
  const json = `[${newestFirst.toReversed().join(',')}]`;
  return { json, first, ...(first > 0 && { next: String(first) }) };
}

/** Of a history from before counts were kept. */
async function countMessages(store: Reader, session: string): Promise<number> {
  let count = 0;
  for (let from = 0; ;) {
    const found = await store.readHistoryBlock(session, { from });
    if (!isFound(found)) return count;
    count += decodeBlock(found.block).length;
    from = found.at + 1;
    await nextTurn();
  }
}

function isFound(found: FoundBlock): found is Found {
  return found.block !== undefined;
}

function changed(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the history was changed while it was read: read it again', {
    retryAfterMs: 1_000,
  });
}
