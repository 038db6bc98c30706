/** Keys of Redis as bytes of a backup's entry, one behind the other. Pure. */

export interface KeyRecord {
  key: Buffer;
  /** ms since the epoch; 0: never. */
  expiresAt: number;
  /** As DUMP gives it: with Redis's own version and checksum. */
  dump: Buffer;
}

/** Length of the key, length of the dump, when it expires. */
const HEADER_BYTES = 16;

export function encodeRecord({ key, expiresAt, dump }: KeyRecord): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(key.length, 0);
  header.writeUInt32LE(dump.length, 4);
  header.writeBigUInt64LE(BigInt(expiresAt), 8);
  return Buffer.concat([header, key, dump]);
}

/** Undefined for bytes that are no records. */
export function decodeRecords(bytes: Buffer): KeyRecord[] | undefined {
  const records: KeyRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < HEADER_BYTES) return undefined;
    const keyBytes = bytes.readUInt32LE(at);
    const dumpBytes = bytes.readUInt32LE(at + 4);
    const expiresAt = Number(bytes.readBigUInt64LE(at + 8));
    const begin = at + HEADER_BYTES;
    at = begin + keyBytes + dumpBytes;
    if (at > bytes.length) return undefined;
    records.push({
      key: bytes.subarray(begin, begin + keyBytes),
      expiresAt,
      dump: bytes.subarray(begin + keyBytes, at),
    });
  }
  return records;
}
