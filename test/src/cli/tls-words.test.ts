import { once } from 'node:events';
import { createServer as createPlain } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { HttpApi } from '../../../src/cli/http-api.js';
import { cutWords, tlsWords } from '../../../src/cli/tls-words.js';
import { z } from 'zod';

t.test('https where there is plain HTTP is told', async (t) => {
  const server = createPlain((_request, answer) => answer.end('{}')).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const api = new HttpApi(`https://127.0.0.1:${(server.address() as AddressInfo).port}`, undefined);
  await t.rejects(api.ask('/v1/mcp', z.object({})), { code: 'ERR_UNAVAILABLE', message: /does not speak TLS there/ });
});

t.test('what is no matter of TLS has no words of it', async (t) => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  t.equal(tlsWords(new TypeError('fetch failed', { cause: refused })), undefined);
  t.equal(cutWords(refused, 'http://localhost:1'), undefined);
  const reset = Object.assign(new Error('read'), { code: 'ECONNRESET' });
  t.match(cutWords(reset, 'ws://localhost:1/v1/ws'), /https:/);
  t.equal(cutWords(reset, 'wss://localhost:1/v1/ws'), undefined);
});
