/** Types of the lz4 package, as far as the codec uses it (its README, "Block" API). */
declare module 'lz4' {
  interface Lz4 {
    /** Worst-case size of a compressed block of `size` bytes. */
    encodeBound(size: number): number;
    /** Compresses into `output`; returns bytes written, 0 when it does not fit. */
    encodeBlock(input: Buffer, output: Buffer): number;
    encodeBlockHC(input: Buffer, output: Buffer): number;
    /** Decompresses into `output`; returns bytes written, negative when the input is damaged. */
    decodeBlock(input: Buffer, output: Buffer): number;
  }
  const lz4: Lz4;
  export default lz4;
}
