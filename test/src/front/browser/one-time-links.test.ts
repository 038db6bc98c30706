import t from 'tap';
import { LINK_MS, OneTimeLinks } from '../../../../src/front/browser/one-time-links.js';

t.test('a link is good once, and looking at it does not use it up', async (t) => {
  const links = new OneTimeLinks();
  const code = links.make();
  t.ok(links.has(code));
  t.ok(links.has(code));
  t.ok(links.take(code));
  t.notOk(links.take(code));
  t.notOk(links.has(code));
  t.notOk(links.take(''));
});

t.test('a link is good for fifteen minutes', async (t) => {
  let now = 1_000;
  const links = new OneTimeLinks(() => now);
  const code = links.make();
  now += LINK_MS - 1;
  t.ok(links.has(code));
  now += 1;
  t.notOk(links.has(code));
  t.notOk(links.take(code));
});

t.test('there are few open links at a time: the oldest gives way', async (t) => {
  const links = new OneTimeLinks();
  const codes = Array.from({ length: 9 }, () => links.make());
  t.notOk(links.has(codes[0]!));
  t.ok(codes.slice(1).every((code) => links.has(code)));
});
