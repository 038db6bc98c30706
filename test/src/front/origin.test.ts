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

const request = { host: 'ai.example.org', origin: '', fetchSite: '', fetchMode: '', proxiedBy: '' };

t.test('an app of another scheme is let in by its own name, and never as null', async (t) => {
  const app = new Origins({ origins: ['tauri://localhost'], hosts });
  t.equal(app.refusal({ ...request, origin: 'tauri://localhost' }), undefined);
  for (const origin of ['null', 'tauri://other', 'other://localhost', 'http://localhost']) {
    t.match(app.refusal({ ...request, origin }), { code: 'ERR_FORBIDDEN_ORIGIN' }, origin);
  }
  t.same(app.corsHeaders('null'), []);
});

t.test('a page of another site loads nothing without an Origin, but a link to here opens', async (t) => {
  for (const fetchMode of ['no-cors', 'cors', 'websocket', '']) {
    const refusal = origins.refusal({ ...request, fetchSite: 'cross-site', fetchMode });
    t.match(refusal, { code: 'ERR_FORBIDDEN_ORIGIN' }, fetchMode);
  }
  t.equal(origins.refusal({ ...request, fetchSite: 'cross-site', fetchMode: 'navigate' }), undefined);
  for (const fetchSite of ['same-origin', 'same-site', 'none', '']) {
    t.equal(origins.refusal({ ...request, fetchSite, fetchMode: 'no-cors' }), undefined, fetchSite);
  }
});

t.test('a request through a proxy is refused where there is a reason to, and told the reason', async (t) => {
  const proxied = { ...request, proxiedBy: 'x-forwarded-for' };
  t.equal(origins.refusal(proxied), undefined);
  const alone = new Origins({ origins: [], noProxy: 'the reason', hosts });
  t.equal(alone.refusal(request), undefined);
  t.match(alone.refusal(proxied), { code: 'ERR_FORBIDDEN_PROXY', message: /x-forwarded-for.*the reason/ });
});
