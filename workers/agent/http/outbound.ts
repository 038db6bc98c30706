/**
 * Which addresses a `url` may lead to: https to public ones, unless the configuration says otherwise. The check is on the
 * address that the socket connects to, so that a name that later resolves to another address gains nothing. Agent threads.
 */
import ipaddr from 'ipaddr.js';
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import type { Config } from '../../../src/shared/config.js';
import { RemoteFailure } from './failures.js';

export type OutboundRules = Pick<Config['mcp'], 'allowLoopback' | 'allowHosts'>;

/** Resolves with all addresses of a name. */
export type Resolve = (host: string) => Promise<LookupAddress[]>;

const CONNECT_TIMEOUT_MS = 10_000;

/** Undefined when the address is allowed, else why not. */
export function addressProblem(address: string, host: string, rules: OutboundRules): string | undefined {
  const parsed = ipaddr.process(address); // an IPv4-mapped IPv6 address is checked as IPv4
  const range = parsed.range();
  if (range === 'loopback') return rules.allowLoopback ? undefined : 'is on this machine: set mcp.allowLoopback';
  // The library calls ::a.b.c.d and the like unicast; the internet routes 2000::/3 only.
  const isPublic = range === 'unicast' && (parsed.kind() === 'ipv4' || (parsed.toByteArray()[0]! & 0xe0) === 0x20);
  if (isPublic) return undefined;
  const isPrivate = range === 'private' || range === 'uniqueLocal' || range === 'carrierGradeNat';
  if (isPrivate && rules.allowHosts.includes(bare(host))) return undefined;
  const remedy = isPrivate ? ': name the host in mcp.allowHosts if you trust it' : '';
  return `is not a public address (${range})${remedy}`;
}

/** Whether this host may have an address that is not public. */
export function mayBePrivate({ hostname }: URL, { allowLoopback, allowHosts }: OutboundRules): boolean[] {
  return [allowLoopback, allowHosts.includes(bare(hostname))];
}

/** Checks the protocol, before any lookup. Throws ERR_MCP. */
export function checkUrl({ protocol, hostname }: URL, { allowLoopback }: OutboundRules): void {
  if (protocol === 'https:' || (protocol === 'http:' && allowLoopback)) return;
  throw refusal(`${protocol}//${hostname} is not https; http is for loopback alone, with mcp.allowLoopback`);
}

export function systemResolve(host: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true, verbatim: true }, (error, addresses) =>
      error ? reject(error) : resolve(addresses),
    );
  });
}

/** For undici: connects to allowed addresses only. Host and SNI keep the name. */
export function guardedConnect(rules: OutboundRules, resolve: Resolve): buildConnector.connector {
  const connector = (onlyLoopback: boolean): buildConnector.connector =>
    buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: judgedLookup(rules, resolve, onlyLoopback) });
  const secure = connector(false);
  const plain = connector(true);
  return (options, callback) => {
    const onlyLoopback = options.protocol !== 'https:';
    const host = bare(options.hostname);
    if (isIP(host)) {
      // Node does not call `lookup` for an IP address.
      const problem = problemOf(host, host, rules, onlyLoopback);
      if (problem !== undefined) return callback(refusal(`${host} ${problem}`), null);
    }
    return (onlyLoopback ? plain : secure)(options, callback);
  };
}

function judgedLookup(rules: OutboundRules, resolve: Resolve, onlyLoopback: boolean): LookupFunction {
  return (host, { all, family }, answer) => {
    void judged(host, resolve, (address) => problemOf(address, host, rules, onlyLoopback)).then(
      (found) => {
        const good = found.filter((each) => typeof family !== 'number' || family === 0 || each.family === family);
        const [first] = good;
        if (!first) return answer(refusal(`${host} has no address of the family that is wanted`), '', 0);
        return all ? answer(null, good) : answer(null, first.address, first.family);
      },
      (error: unknown) => answer(error as NodeJS.ErrnoException, '', 0),
    );
  };
}

/** The allowed addresses of a name. Rejects when there are none. */
async function judged(
  host: string,
  resolve: Resolve,
  problemWith: (address: string) => string | undefined,
): Promise<LookupAddress[]> {
  const addresses = await resolve(host);
  const good = addresses.filter(({ address }) => problemWith(address) === undefined);
  if (good.length > 0) return good;
  const [first] = addresses;
  if (!first) throw refusal(`${host} has no address`);
  throw refusal(`${host} resolves to ${first.address}, which ${problemWith(first.address) ?? 'is refused'}`);
}

/** Plain http must not leave this machine, whatever a name resolves to. */
function problemOf(address: string, host: string, rules: OutboundRules, onlyLoopback: boolean): string | undefined {
  const problem = addressProblem(address, host, rules);
  if (problem === undefined && onlyLoopback && ipaddr.process(address).range() !== 'loopback') {
    return 'is not on this machine, and http is for loopback alone';
  }
  return problem;
}

export function refusal(text: string): RemoteFailure {
  return new RemoteFailure('ERR_MCP', text, { sent: false });
}

export function bare(host: string): string {
  return host.replaceAll(/^\[|\]$/g, '');
}
