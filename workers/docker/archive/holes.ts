/** Finds the holes of a file: runs of zeros, which take no memory when they are put back as holes. Docker thread. */

/** Page size of a tmpfs: nothing smaller can be a hole. */
export const HOLE_BLOCK_BYTES = 4_096;
/** Shorter runs of zeros are written as they are: each piece of data between two holes costs a program's start. */
const MIN_HOLE_BLOCKS = 16;
/** A smaller file comes back without holes. */
export const MIN_SIZE_WITH_HOLES = 131_072;
/** Further files come back without holes: each costs a few starts of programs. */
export const MAX_FILES_WITH_HOLES = 2_000;
const ZEROS = Buffer.alloc(65_536);

/** In blocks of HOLE_BLOCK_BYTES. */
export interface Extent {
  from: number;
  count: number;
}

export class HoleFinder {
  /** Bytes of blocks that are not zero. */
  dataBytes = 0;
  readonly #extents: Extent[] = [];
  /** Bytes seen so far. */
  #at = 0;
  /** The block at `#at` has other bytes than zeros. */
  #isData = false;

  write(content: Buffer): void {
    for (let from = 0; from < content.length;) {
      const inBlock = this.#at % HOLE_BLOCK_BYTES;
      const part = content.subarray(from, from + HOLE_BLOCK_BYTES - inBlock);
      if (!this.#isData && !isZero(part)) this.#isData = true;
      from += part.length;
      this.#at += part.length;
      if (inBlock + part.length === HOLE_BLOCK_BYTES) this.#endBlock(this.#at / HOLE_BLOCK_BYTES - 1);
    }
  }

  /** Where the file has data, in order. */
  end(): Extent[] {
    if (this.#at % HOLE_BLOCK_BYTES > 0) this.#endBlock(Math.floor(this.#at / HOLE_BLOCK_BYTES));
    return this.#extents;
  }

  #endBlock(block: number): void {
    if (this.#isData) {
      this.dataBytes += HOLE_BLOCK_BYTES;
      const last = this.#extents.at(-1);
      if (last && block - (last.from + last.count) < MIN_HOLE_BLOCKS) last.count = block + 1 - last.from;
      else this.#extents.push({ from: block, count: 1 });
    }
    this.#isData = false;
  }
}

/** Bytes that a file with this data takes when it is put back. */
export function bytesOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, { count }) => sum + count, 0) * HOLE_BLOCK_BYTES;
}

/** Whether it is put back with holes. */
export function hasHoles(size: number, extents: readonly Extent[]): boolean {
  return size >= MIN_SIZE_WITH_HOLES && size - bytesOf(extents) >= MIN_HOLE_BLOCKS * HOLE_BLOCK_BYTES;
}

function isZero(part: Buffer): boolean {
  return part[0] === 0 && part.equals(ZEROS.subarray(0, part.length));
}
