import t from 'tap';
import { isLoopback } from '../../../src/front/loopback.js';

const v6 = (...tail: number[]): Uint8Array => Uint8Array.from([...Array<number>(16 - tail.length).fill(0), ...tail]);

t.test('loopback addresses, also IPv4 mapped into IPv6, and nothing else', async (t) => {
  t.ok(isLoopback(Uint8Array.of(127, 0, 0, 1)));
  t.ok(isLoopback(Uint8Array.of(127, 9, 9, 9)));
  t.ok(isLoopback(v6(1)));
  t.ok(isLoopback(v6(0xff, 0xff, 127, 0, 0, 1)));
  t.notOk(isLoopback(Uint8Array.of(10, 0, 0, 1)));
  t.notOk(isLoopback(v6(2)));
  t.notOk(isLoopback(v6(1, 1)), '::101 ends as ::1 does');
  t.notOk(isLoopback(v6(0xff, 0xff, 10, 0, 0, 1)));
  t.notOk(isLoopback(v6(127, 0, 0, 1)));
  t.notOk(isLoopback(new Uint8Array()));
});
