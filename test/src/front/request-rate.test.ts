import t from 'tap';
import { RequestRate } from '../../../src/front/request-rate.js';

t.test('eight seconds of requests may come at once, and then as many as the rate', async (t) => {
  let now = 0;
  const rate = new RequestRate({ perSecond: 2, refusal: 'too many', now: () => now });
  for (let count = 0; count < 16; count++) t.equal(rate.take('a'), undefined);
  t.match(rate.take('a'), { code: 'ERR_TOO_MANY_REQUESTS', retryAfterMs: 500, message: 'too many: try again in 1 s' });
  t.equal(rate.take('b'), undefined, 'another key has its own');
  now = 499;
  t.ok(rate.take('a'), 'a refused request costs nothing');
  now = 500;
  t.equal(rate.take('a'), undefined);
  t.ok(rate.take('a'));
  now = 1_000_000;
  for (let count = 0; count < 16; count++) t.equal(rate.take('a'), undefined, 'a full bucket is full');
  t.ok(rate.take('a'));
});

t.test('without a rate nothing is refused, and keys beyond the bound are forgotten', async (t) => {
  const none = new RequestRate({ perSecond: 0, refusal: '' });
  for (let count = 0; count < 100; count++) t.equal(none.take('a'), undefined);
  t.equal(none.size, 0);
  const rate = new RequestRate({ perSecond: 1, refusal: '' });
  for (let key = 0; key < 11_000; key++) rate.take(String(key));
  t.equal(rate.size, 10_000);
});
