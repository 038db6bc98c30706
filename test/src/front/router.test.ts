import pino from 'pino';
import t from 'tap';
import { createHash } from 'node:crypto';
import { Auth } from '../../../src/front/auth.js';
import { ByteBudget } from '../../../src/front/byte-budget.js';
import { Exchange, type RequestHead, type ResponseSocket } from '../../../src/front/http.js';
import { Origins } from '../../../src/front/origin.js';
import { get, Router } from '../../../src/front/router.js';
import { HEAD } from './front-fixture.js';

/** The status of a request to a router with one route of each access and one token. */
async function statusOf(head: Partial<RequestHead>): Promise<string> {
  const router = new Router({
    routes: (['user', 'open', 'metrics'] as const).map((access) =>
      get(`/${access}`, ({ exchange }) => exchange.json(200, {}), { access, noHead: access === 'open' }),
    ),
    auth: new Auth({
      mode: 'token',
      tokens: [{ user: 'ann', sha256: createHash('sha256').update('token-a').digest('hex') }],
    }),
    origins: new Origins({ origins: [], loopbackOnly: false, port: () => 1 }),
    budget: new ByteBudget(0),
    maxBodyBytes: 1,
  });
  let status = '';
  const response: ResponseSocket = {
    writeStatus: (text) => (status = text),
    writeHeader: () => undefined,
    write: () => true,
    end: () => undefined,
    endWithoutBody: () => undefined,
    close: () => undefined,
    onWritable: () => undefined,
    onAborted: () => undefined,
    onData: () => undefined,
    cork: (write) => write(),
  };
  await router.serve(new Exchange(response, { ...HEAD, ...head }, pino({ level: 'silent' })));
  return status;
}

t.test(
  'a token opens every route; without one only the open routes answer, and metrics from this machine',
  async (t) => {
    const authorization = 'Bearer token-a';
    for (const path of ['/user', '/open', '/metrics']) {
      t.equal(await statusOf({ path, authorization, fromLoopback: false }), '200 OK', path);
    }
    t.equal(await statusOf({ path: '/metrics', fromLoopback: true }), '200 OK');
    t.equal(await statusOf({ path: '/metrics', fromLoopback: false }), '401 Unauthorized');
    t.equal(
      await statusOf({ path: '/metrics', fromLoopback: false, authorization: 'Bearer wrong' }),
      '401 Unauthorized',
    );
    t.equal(await statusOf({ path: '/user', fromLoopback: true }), '401 Unauthorized');
    t.equal(await statusOf({ path: '/open', fromLoopback: false }), '200 OK');
  },
);

t.test('HEAD is answered where GET is, but for routes that have none', async (t) => {
  t.equal(await statusOf({ path: '/metrics', method: 'HEAD', fromLoopback: true }), '200 OK');
  t.equal(await statusOf({ path: '/open', method: 'HEAD' }), '405 Method Not Allowed');
  t.equal(await statusOf({ path: '/open' }), '200 OK');
});
