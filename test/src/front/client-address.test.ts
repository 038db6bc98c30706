import t from 'tap';
import { ClientAddresses } from '../../../src/front/client-address.js';
import { parseConfig } from '../../../src/shared/config.js';

const v4 = Uint8Array.from([10, 0, 0, 9]);
const v6 = (last: number, subnet = 1): Uint8Array =>
  Uint8Array.from([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, subnet, 0, 0, 0, 0, 0, 0, 0, last]);
const mapped = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 9]);

t.test('an address counts by itself, of IPv6 its /64, and mapped IPv4 as IPv4', async (t) => {
  const addresses = new ClientAddresses([]);
  t.equal(addresses.keyOf(v4, ''), '10.0.0.9');
  t.equal(addresses.keyOf(mapped, ''), '10.0.0.9');
  t.equal(addresses.keyOf(v6(1), ''), addresses.keyOf(v6(2), ''));
  t.not(addresses.keyOf(v6(1), ''), addresses.keyOf(v6(1, 2), ''));
  t.equal(addresses.keyOf(new Uint8Array(), ''), '', 'a socket that has closed');
});

t.test('only a trusted proxy is believed, and of what it passes on only the end', async (t) => {
  const trusting = new ClientAddresses(['10.0.0.0/8', '2001:db8::/32']);
  const told = (header: string, peer: Uint8Array = v4): string => trusting.keyOf(peer, header);
  t.equal(new ClientAddresses(['10.1.0.0/16']).keyOf(v4, '192.0.2.1'), '10.0.0.9', 'another proxy');
  t.equal(told('192.0.2.1'), '192.0.2.1');
  t.equal(told('192.0.2.1', mapped), '192.0.2.1');
  t.equal(told('192.0.2.1', v6(1)), '192.0.2.1');
  t.equal(told('1.1.1.1, 192.0.2.1'), '192.0.2.1', 'what the client wrote itself');
  t.equal(told('1.1.1.1, 192.0.2.1, 10.0.0.7'), '192.0.2.1', 'a chain of proxies');
  t.equal(told('192.0.2.1:4711'), '192.0.2.1');
  t.equal(told('[fd00::1]:80'), 'fd00::/64');
  t.equal(told('::ffff:192.0.2.1'), '192.0.2.1');
  for (const header of ['', 'unknown', '_hidden', '192.0.2.1,', '192.0.2.1, evil']) {
    t.equal(told(header), '10.0.0.9', `${header}: the proxy itself`);
  }
  t.equal(trusting.isProxy(v4), true);
  t.equal(trusting.isProxy(Uint8Array.from([192, 0, 2, 1])), false);
});

t.test('a trusted proxy is an address or a range', async (t) => {
  parseConfig({ listen: { trustedProxies: ['127.0.0.1', '::1', '10.0.0.0/8', 'fd00::/8'] } }, {});
  for (const bad of ['localhost', '10.0.0.0/33', '*', '']) {
    t.throws(() => parseConfig({ listen: { trustedProxies: [bad] } }, {}), { code: 'ERR_CONFIG' }, bad);
  }
});
