import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import { MetricsAccess } from '../../../src/front/metrics-access.js';
import { METRICS, SCRAPE_HEADERS } from '../../helpers/metrics.js';
import { startFront, statusWithHost } from './front-fixture.js';

const USER = { authorization: 'Bearer token-a' };

t.test('without configuration there are no metrics, for nobody', async (t) => {
  const fixture = await startFront({ tokens: { ann: 'token-a' }, metrics: {} });
  t.teardown(() => fixture.close());
  t.equal(new MetricsAccess({ tokenSha256: '', listen: undefined }).allows(''), false);
  for (const headers of [{}, USER, SCRAPE_HEADERS]) {
    t.equal((await fetch(`${fixture.url}/metrics`, { headers })).status, 404);
  }
});

t.test('the scrape token reads the metrics, and a user’s token does not', async (t) => {
  const fixture = await startFront({ tokens: { ann: 'token-a' }, metrics: METRICS });
  t.teardown(() => fixture.close());
  for (const headers of [{}, USER]) {
    const refused = await fetch(`${fixture.url}/metrics`, { headers });
    t.equal(refused.status, 401);
    t.match(refused.headers.get('www-authenticate'), /^Bearer\b/);
  }
  t.equal(await (await fetch(`${fixture.url}/metrics`, { headers: SCRAPE_HEADERS })).text(), 'test_metric 1\n');
  t.equal((await fetch(`${fixture.url}/v1/sessions`, { headers: SCRAPE_HEADERS })).status, 401, 'it is no user’s');
});

t.test('a listener of their own serves the metrics alone, and the users’ listener has none then', async (t) => {
  const fixture = await startFront({ metrics: { listen: { port: 0 } } });
  t.teardown(() => fixture.close());
  const url = fixture.front.metricsUrl()!;
  t.equal((await fetch(`${fixture.url}/metrics`)).status, 404);
  const answer = await fetch(`${url}/metrics`);
  t.match(answer.headers.get('content-type'), /^text\/plain/);
  t.equal(await answer.text(), 'test_metric 1\n');
  t.equal((await fetch(`${url}/metrics`, { method: 'HEAD' })).status, 200);
  t.equal((await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })).status, 405);
  t.equal((await fetch(`${url}/v1/sessions`)).status, 404);
  await fixture.front.close();
  await t.rejects(fetch(`${url}/metrics`), 'it closes with the front');
});

t.test('the own listener asks for the token where there is one, and refuses unknown names', async (t) => {
  const fixture = await startFront({ metrics: { listen: { port: 0 }, ...METRICS } });
  t.teardown(() => fixture.close());
  const url = fixture.front.metricsUrl()!;
  t.equal((await fetch(`${url}/metrics`)).status, 401);
  t.equal(
    (await fetch(`${fixture.url}/metrics`, { headers: SCRAPE_HEADERS })).status,
    404,
    'where users are there are none',
  );
  t.equal((await fetch(`${url}/metrics`, { headers: SCRAPE_HEADERS })).status, 200);
  for (const [host, status] of [
    ['evil.test', 403],
    ['10.1.2.3:9', 200],
  ] as const) {
    t.equal(await statusWithHost(`${url}/metrics`, { host, headers: SCRAPE_HEADERS }), status, host);
  }
});

t.test('a port that is taken is told in words, and the users’ port cannot be the metrics’ port', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  await t.rejects(startFront({ metrics: { listen: { port } } }), { code: 'ERR_START', message: /is in use/ });
  t.throws(() => parseConfig({ listen: { port: 7 }, metrics: { listen: { port: 7 } } }, {}), {
    code: 'ERR_CONFIG',
    problems: [{ path: 'metrics.listen.port' }],
  });
});
