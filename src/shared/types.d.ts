/** Types of the parts of the lz4 package that are used (its README). */
declare module 'lz4' {
  import type { Transform } from 'node:stream';

  interface Lz4 {
    /** Worst-case size of a compressed block of `size` bytes. */
    encodeBound(size: number): number;
    /** Compresses into `output`; returns bytes written, 0 when it does not fit. */
    encodeBlock(input: Buffer, output: Buffer): number;
    encodeBlockHC(input: Buffer, output: Buffer): number;
    /** Decompresses into `output`; returns bytes written, negative when the input is damaged. */
    decodeBlock(input: Buffer, output: Buffer): number;
    /** A frame, as the lz4 tools read it. */
    createEncoderStream(options: { blockMaxSize: number; streamChecksum: boolean }): Transform;
  }
  const lz4: Lz4;
  export default lz4;
}
