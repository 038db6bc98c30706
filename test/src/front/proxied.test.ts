import t from 'tap';
import { proxyHeader } from '../../../src/front/proxied.js';

const first = (...names: string[]): string => proxyHeader((visit) => names.forEach(visit));

t.test('what proxies add is recognised, and nothing that a client sends', async (t) => {
  for (const name of [
    'forwarded',
    'via',
    'x-forwarded',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'x-real-ip',
    'cf-connecting-ip',
    'true-client-ip',
    'client-ip',
    'x-nginx-proxy',
    'x-scheme',
    'x-auth-request-user',
    'fastly-client-ip',
    'cdn-loop',
  ]) {
    t.equal(first('host', name), name);
  }
  t.equal(first('host', 'connection', 'accept', 'user-agent', 'upgrade', 'x-requested-with', 'sec-websocket-key'), '');
});
