/** Tells whether a peer is on this machine, by the address that uWebSockets gives. Pure. Main thread. */

/** `address` has 4 or 16 bytes; IPv4 may be mapped into IPv6. */
export function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  if (address.length !== 16) return false;
  const zeros = (end: number): boolean => address.subarray(0, end).every((byte) => byte === 0);
  if (zeros(15)) return address[15] === 1;
  return zeros(10) && address[10] === 0xff && address[11] === 0xff && address[12] === 127;
}
