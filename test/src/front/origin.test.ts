import t from 'tap';
import { Hosts } from '../../../src/front/hosts.js';
import { Origins } from '../../../src/front/origin.js';

const hosts = new Hosts({ names: ['ai.example.org'], loopbackOnly: false, port: () => 3000 });
const origins = new Origins({ origins: ['https://app.example.org'], hosts });

t.test('only a listed origin may read answers from another page', async (t) => {
  t.equal(
    new Map(origins.corsHeaders('https://app.example.org')).get('Access-Control-Allow-Origin'),
    'https://app.example.org',
  );
  t.same(origins.corsHeaders('https://other.example.org'), []);
  t.same(origins.corsHeaders('https://app.example.org:8443'), []);
  t.same(origins.corsHeaders(''), []);
});

const request = { host: 'ai.example.org', origin: '', fetchSite: '', fetchMode: '', fetchDest: '', proxiedBy: '' };

t.test('an app of another scheme is let in by its own name, and never as null', async (t) => {
  const app = new Origins({ origins: ['tauri://localhost'], hosts });
  t.equal(app.refusal({ ...request, origin: 'tauri://localhost' }), undefined);
  for (const origin of ['null', 'tauri://other', 'other://localhost', 'http://localhost']) {
    t.match(app.refusal({ ...request, origin }), { code: 'ERR_FORBIDDEN_ORIGIN' }, origin);
  }
  t.same(app.corsHeaders('null'), []);
});

t.test(
  'a page of another origin loads nothing without an Origin, in a frame neither, but a link to here opens',
  async (t) => {
    // Another port of the same host is of the same site.
    for (const fetchSite of ['cross-site', 'same-site']) {
      for (const fetchMode of ['no-cors', 'cors', 'websocket', '']) {
        const refusal = origins.refusal({ ...request, fetchSite, fetchMode });
        t.match(refusal, { code: 'ERR_FORBIDDEN_ORIGIN' }, fetchMode);
      }
      const opened = { ...request, fetchSite, fetchMode: 'navigate' };
      for (const fetchDest of ['iframe', 'frame', 'embed', 'object']) {
        t.match(origins.refusal({ ...opened, fetchDest }), { code: 'ERR_FORBIDDEN_ORIGIN' }, fetchDest);
      }
      t.equal(origins.refusal({ ...opened, fetchDest: 'document' }), undefined);
      t.equal(origins.refusal(opened), undefined, 'an older browser does not say where it goes');
    }
    for (const fetchSite of ['same-origin', 'none', '']) {
      t.equal(origins.refusal({ ...request, fetchSite, fetchMode: 'no-cors' }), undefined, fetchSite);
    }
  },
);

t.test('an app of another scheme is not this server’s own page, whatever its host is called', async (t) => {
  t.equal(origins.refusal({ ...request, origin: 'https://ai.example.org' }), undefined);
  for (const scheme of ['tauri', 'file', 'chrome-extension', 'https+evil']) {
    const refusal = origins.refusal({ ...request, origin: `${scheme}://ai.example.org` });
    t.match(refusal, { code: 'ERR_FORBIDDEN_ORIGIN' }, scheme);
  }
});

t.test('a request through a proxy is refused where there is a reason to, and told the reason', async (t) => {
  const proxied = { ...request, proxiedBy: 'x-forwarded-for' };
  t.equal(origins.refusal(proxied), undefined);
  const alone = new Origins({ origins: [], noProxy: 'the reason', hosts });
  t.equal(alone.refusal(request), undefined);
  t.match(alone.refusal(proxied), { code: 'ERR_FORBIDDEN_PROXY', message: /x-forwarded-for.*the reason/ });
});
