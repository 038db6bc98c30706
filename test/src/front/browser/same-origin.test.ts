import t from 'tap';
import { changesSomething, isOwnPage, mayRead, type CookieHead } from '../../../../src/front/browser/same-origin.js';

const HEAD: CookieHead = {
  method: 'POST',
  host: 'fairlead.test',
  origin: 'https://fairlead.test',
  cookie: '',
  fetchSite: 'same-origin',
  fetchMode: 'cors',
};
const BASE = 'https://fairlead.test';

t.test('a page of this server is its own, behind a proxy and on loopback too', async (t) => {
  t.ok(isOwnPage(HEAD, BASE));
  t.ok(isOwnPage({ ...HEAD, fetchSite: '' }, BASE), 'of a browser that does not send Sec-Fetch-Site');
  t.ok(isOwnPage({ ...HEAD, host: 'fairlead.test:443' }, BASE));
  const local = { ...HEAD, host: 'localhost:3000', origin: 'http://localhost:3000' };
  t.ok(isOwnPage(local, 'http://127.0.0.1:3000'));
});

t.test(
  'a page of another port, subdomain, scheme or site is not, and neither is one that hides its origin',
  async (t) => {
    for (const origin of [
      '',
      'null',
      'http://fairlead.test',
      'https://fairlead.test:8443',
      'https://evil.fairlead.test',
      'https://fairlead.test.evil.test',
      'https://evil.test',
      'tauri://fairlead.test',
      'https://fairlead.test@evil.test',
    ]) {
      t.notOk(isOwnPage({ ...HEAD, origin }, BASE), origin);
    }
    for (const fetchSite of ['same-site', 'cross-site', 'none'])
      t.notOk(isOwnPage({ ...HEAD, fetchSite }, BASE), fetchSite);
  },
);

t.test('what changes something is everything but reading; an upgrade changes something', async (t) => {
  for (const method of ['GET', 'HEAD', 'OPTIONS']) t.notOk(changesSomething({ ...HEAD, method }), method);
  for (const method of ['POST', 'DELETE', 'PUT', 'PATCH', 'get']) t.ok(changesSomething({ ...HEAD, method }), method);
  t.ok(changesSomething({ ...HEAD, method: 'GET', protocols: '' }));
});

t.test('who opens an address or follows a link may read; what a foreign page loads may not', async (t) => {
  for (const fetchSite of ['', 'none', 'same-origin']) t.ok(mayRead({ ...HEAD, fetchSite }), fetchSite);
  t.ok(mayRead({ ...HEAD, fetchSite: 'cross-site', fetchMode: 'navigate' }), 'back from the issuer');
  for (const fetchSite of ['same-site', 'cross-site']) t.notOk(mayRead({ ...HEAD, fetchSite }), fetchSite);
});
