import t from 'tap';
import { ByteBudget } from '../../../src/front/byte-budget.js';
import { connect } from '../../helpers/ws-client.js';
import { request, startFront } from './front-fixture.js';

t.test('eight seconds’ worth may be sent at once, then the rate; each user has a budget of their own', async (t) => {
  let now = 0;
  const budget = new ByteBudget(1_000, () => now);
  t.equal(budget.spend('ada', 7_000), undefined);
  t.equal(budget.spend('ada', 1_000), undefined);
  t.match(budget.spend('ada', 500), { code: 'ERR_TOO_MANY_REQUESTS', retryAfterMs: 500 });
  t.equal(budget.spend('bob', 8_000), undefined);
  now = 1_000;
  t.equal(budget.spend('ada', 500), undefined, 'the debt has been paid, and half a second’s worth is there');
  t.match(budget.spend('ada', 1_000_000), { retryAfterMs: 8_000 }, 'a debt is eight seconds at most');
  t.match(budget.debt('ada'), { code: 'ERR_TOO_MANY_REQUESTS' });
  now = 9_000;
  t.equal(budget.debt('ada'), undefined);
  now = 1_000_000;
  t.equal(budget.spend('ada', 8_000), undefined);
  t.match(budget.spend('ada', 1), { code: 'ERR_TOO_MANY_REQUESTS' }, 'it is never more');
});

t.test('0 is no limit', async (t) => {
  const budget = new ByteBudget(0);
  t.equal(budget.spend('ada', Number.MAX_SAFE_INTEGER), undefined);
  t.equal(budget.size, 0);
});

t.test('an account that is full again is forgotten', async (t) => {
  let now = 0;
  const budget = new ByteBudget(1_000, () => now);
  for (let user = 0; user < 1_000; user++) budget.spend(`user ${user}`, 8_000);
  now = 4_000;
  budget.spend('a new one', 1);
  t.equal(budget.size, 1_001, 'nobody has it all yet');
  now = 8_000;
  for (let user = 0; user < 1_200; user++) budget.spend(`later ${user}`, 1);
  t.ok(budget.size <= 1_201, String(budget.size));
});

t.test('a socket that sends too much is told to wait, and closed with 1013 when it does not', async (t) => {
  const fixture = await startFront({ limits: { maxBytesPerSecond: 10_000, maxFrameBytes: 50_000 } });
  t.teardown(() => fixture.close());
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  await client.ready;
  const large = JSON.stringify({ type: 'ping', id: 'x'.repeat(39_000) }); // bad, and cheap
  client.sendRaw(large);
  t.match(await client.waitFor('error'), { code: 'ERR_BAD_FRAME' });
  client.sendRaw(large);
  t.match(await client.waitFor('error'), { code: 'ERR_BAD_FRAME' });
  for (let frame = 0; frame < 3; frame++) client.sendRaw(large);
  t.match(await client.waitFor('error'), { code: 'ERR_TOO_MANY_REQUESTS', retryAfterMs: Number });
  t.equal((await client.closed).code, 1013);
  t.equal((await (await connect(fixture.url)).closed).code, 1013, 'nor is it let in again at once');
});

t.test('bodies name the field too', async (t) => {
  const fixture = await startFront({ limits: { maxBytesPerSecond: 10_000, maxFrameBytes: 50_000 } });
  t.teardown(() => fixture.close());
  const create = (pad: number): Promise<Response> =>
    fetch(`${fixture.url}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{}${' '.repeat(pad)}`,
    });
  t.equal((await create(45_000)).status, 201);
  const refused = await create(45_000);
  t.equal(refused.status, 429);
  t.match(await refused.json(), { code: 'ERR_TOO_MANY_REQUESTS' });
  t.ok(Number(refused.headers.get('retry-after')) >= 1);
});

/** As `curl -X POST` sends it: neither a length nor chunks. */
function postWithout(url: string, extra: Record<string, string> = {}, body = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/v1/sessions`, { method: 'POST', agent: false }).on('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.on('error', reject);
    asked.removeHeader('transfer-encoding');
    asked.useChunkedEncodingByDefault = false;
    for (const [name, value] of Object.entries(extra)) asked.setHeader(name, value);
    asked.end(body);
  });
}

const CHUNKED = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };

t.test('a request without a body costs nothing, and one in chunks what was sent', async (t) => {
  const fixture = await startFront({ limits: { maxBytesPerSecond: 10_000, maxFrameBytes: 50_000 } });
  t.teardown(() => fixture.close());
  for (let time = 0; time < 10; time++) t.equal(await postWithout(fixture.url), 201);
  for (let time = 0; time < 20; time++) t.equal(await postWithout(fixture.url, CHUNKED, '{}'), 201);
  const long = `{}${' '.repeat(48_000)}`;
  t.equal(await postWithout(fixture.url, CHUNKED, long), 201);
  t.equal(await postWithout(fixture.url, CHUNKED, long), 429, 'this one is beyond eight seconds’ worth');
  t.equal(await postWithout(fixture.url, CHUNKED, '{}'), 429, 'and what was refused counts, since it was sent');
});
