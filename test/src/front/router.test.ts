import pino from 'pino';
import t from 'tap';
import { Auth } from '../../../src/front/auth.js';
import { ByteBudget } from '../../../src/front/byte-budget.js';
import { Exchange, type RequestHead, type ResponseSocket } from '../../../src/front/http.js';
import { Hosts } from '../../../src/front/hosts.js';
import { MetricsAccess } from '../../../src/front/metrics-access.js';
import { RequestRate } from '../../../src/front/request-rate.js';
import { Strangers } from '../../../src/front/strangers.js';
import { hashToken } from '../../../src/shared/token-file.js';
import { parseConfig } from '../../../src/shared/config.js';
import { METRICS, SCRAPE_HEADERS } from '../../helpers/metrics.js';
import { Origins } from '../../../src/front/origin.js';
import { get, Router } from '../../../src/front/router.js';
import { HEAD } from './front-fixture.js';

/** The status of a request to a router with one route of each access and one token. */
async function statusOf(head: Partial<RequestHead>): Promise<string> {
  const router = new Router({
    routes: (['user', 'operator', 'admin', 'open', 'metrics'] as const).map((access) =>
      get(`/${access}`, ({ exchange }) => exchange.json(200, {}), { access, noHead: access === 'open' }),
    ),
    auth: new Auth({
      mode: 'token',
      tokens: [
        { user: 'ann', sha256: hashToken('token-a'), role: 'user', groups: [] },
        { user: 'olga', sha256: hashToken('token-o'), role: 'operator', groups: [] },
        { user: 'root', sha256: hashToken('token-r'), role: 'admin', groups: [] },
      ],
    }),
    metricsAccess: new MetricsAccess({ ...METRICS, listen: undefined }),
    origins: new Origins({ origins: [], hosts: new Hosts({ names: [], loopbackOnly: false, port: () => 1 }) }),
    budget: new ByteBudget(0),
    reads: new RequestRate({ perSecond: 0, refusal: '' }),
    strangers: new Strangers(parseConfig({}, {}).limits.perAddress),
    maxBodyBytes: 1,
  });
  let status = '';
  const response: ResponseSocket = {
    writeStatus: (text) => (status = text),
    writeHeader: () => undefined,
    write: () => true,
    tryEnd: () => [true, true],
    getWriteOffset: () => 0,
    end: () => undefined,
    endWithoutBody: () => undefined,
    close: () => undefined,
    onWritable: () => undefined,
    onAborted: () => undefined,
    onData: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    cork: (write) => write(),
  };
  await router.serve(new Exchange(response, { ...HEAD, host: '127.0.0.1', ...head }, pino({ level: 'silent' })));
  return status;
}

t.test('a user’s token opens what is for users, and the scrape token the metrics alone', async (t) => {
  const user = 'Bearer token-a';
  const scraper = SCRAPE_HEADERS.authorization;
  for (const authorization of ['', 'Bearer wrong', scraper, user]) {
    const allowed = { '/user': authorization === user, '/metrics': authorization === scraper, '/open': true };
    for (const [path, open] of Object.entries(allowed)) {
      const wanted = open ? '200 OK' : '401 Unauthorized';
      t.equal(await statusOf({ path, authorization }), wanted, `${path} with ${authorization || 'nothing'}`);
    }
  }
});

t.test('HEAD is answered where GET is, but for routes that have none', async (t) => {
  t.equal(await statusOf({ path: '/user', method: 'HEAD', authorization: 'Bearer token-a' }), '200 OK');
  t.equal(await statusOf({ path: '/open', method: 'HEAD' }), '405 Method Not Allowed');
  t.equal(await statusOf({ path: '/open' }), '200 OK');
});

t.test('a route for a role takes that role and those above it, and says to others which it needs', async (t) => {
  const allowed = {
    'token-a': { '/user': true, '/operator': false, '/admin': false },
    'token-o': { '/user': true, '/operator': true, '/admin': false },
    'token-r': { '/user': true, '/operator': true, '/admin': true },
  };
  for (const [token, paths] of Object.entries(allowed)) {
    for (const [path, open] of Object.entries(paths)) {
      const status = await statusOf({ path, authorization: `Bearer ${token}` });
      t.equal(status, open ? '200 OK' : '403 Forbidden', `${path} with ${token}`);
      t.equal(await statusOf({ path, authorization: 'Bearer token-x' }), '401 Unauthorized', path);
    }
  }
});
