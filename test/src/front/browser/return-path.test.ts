import t from 'tap';
import { OWN_PAGE, returnPath } from '../../../../src/front/browser/return-path.js';

t.test('a login returns to a path of this server', async (t) => {
  for (const path of ['/', '/auth', '/a/b?c=d&e=https://x.test/#f', '/a//b', '/a/../b', '/%2f%2fx.test', '/@x.test']) {
    t.equal(returnPath(path), new URL(path, 'http://own.test').href.slice('http://own.test'.length), path);
  }
  t.equal(returnPath(null), OWN_PAGE);
  t.equal(returnPath(''), OWN_PAGE);
});

t.test('a login returns nowhere else, however the address is written', async (t) => {
  const elsewhere = [
    'https://x.test/',
    'HTTPS:x.test',
    '//x.test',
    '///x.test',
    '/\\x.test',
    '\\\\x.test',
    '/\t/x.test',
    '/\n/x.test',
    '\t//x.test',
    ' //x.test',
    '/..//x.test',
    '/.//x.test',
    '/%2e//x.test',
    '/a/..//x.test',
    '/a\\b',
    'x.test',
    'javascript:alert(1)',
    '/a\r\nSet-Cookie: x=y',
    '/\u00e4',
    `/${'a'.repeat(1_024)}`,
  ];
  for (const address of elsewhere) t.equal(returnPath(address), undefined, JSON.stringify(address));
});
