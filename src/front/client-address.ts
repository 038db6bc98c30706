/** Finds whose address counts for the limits of requests without credentials. Pure. Main thread. */
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = [Address, number];

/** One customer of a provider has at least so many bits of IPv6, and takes another address of them at will. */
const IPV6_BITS = 64;

export class ClientAddresses {
  readonly #trusted: readonly Range[];

  /** `trusted`: addresses and ranges (CIDR) of proxies. */
  constructor(trusted: readonly string[]) {
    this.#trusted = trusted.map(toRange);
  }

  /** `peer`: the socket's address, 4 or 16 bytes. */
  isProxy(peer: Uint8Array): boolean {
    const address = fromBytes(peer);
    return address !== undefined && this.#isTrusted(address);
  }

  /**
   * The key of the peer, or of the client that a trusted proxy tells: proxies add to the end of `X-Forwarded-For`, so that the
   * last address that is no trusted proxy's is the client's, and what stands before it may be made up.
   */
  keyOf(peer: Uint8Array, forwardedFor: string): string {
    let client = fromBytes(peer);
    if (client === undefined) return '';
    const told = forwardedFor === '' ? [] : forwardedFor.split(',');
    while (this.#isTrusted(client)) {
      const next = parse(told.pop()?.trim() ?? '');
      if (next === undefined) break;
      client = next;
    }
    return toKey(client);
  }

  #isTrusted(address: Address): boolean {
    return this.#trusted.some(([range, bits]) => range.kind() === address.kind() && address.match(range, bits));
  }
}

/** Throws for what is neither an address nor a range. */
export function toRange(text: string): Range {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

function toKey(address: Address): string {
  if (address.kind() === 'ipv4') return address.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${IPV6_BITS}`).toString()}/${IPV6_BITS}`;
}

function fromBytes(bytes: Uint8Array): Address | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return unmapped(ipaddr.fromByteArray([...bytes]));
}

/** Some proxies write a port after the address, and brackets around IPv6. */
function parse(text: string): Address | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return ipaddr.isValid(bare) ? unmapped(ipaddr.parse(bare)) : undefined;
}

function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}
