import t from 'tap';
import { registry } from '../../../src/shared/metrics.js';
import { connect } from '../../helpers/ws-client.js';
import { startFront } from './front-fixture.js';

t.test('sockets, frames, bad frames and HTTP requests are counted', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const client = await connect(fixture.url);
  t.teardown(() => client.terminate());
  await client.ready;
  client.sendRaw('bad');
  await client.waitFor('error');
  await (await fetch(`${fixture.url}/v1/sessions/nowhere`)).text();
  await (await fetch(`${fixture.url}/v1/sessions/%20/nope`)).text();
  const open = await registry.metrics();
  t.match(open, /^fairlead_connections 1$/m);
  t.match(open, /^fairlead_frames_total\{direction="in"\} 1$/m);
  t.match(open, /^fairlead_frames_total\{direction="out"\} 2$/m);
  t.match(open, /^fairlead_bad_frames_total 1$/m);
  t.match(open, /^fairlead_slow_reader_closes_total 0$/m);
  t.match(open, /^fairlead_http_requests_total\{route="\/v1\/sessions\/:session",status="404"\} 1$/m);
  t.match(open, /^fairlead_http_requests_total\{route="other",status="404"\} 1$/m);
  await client.close();
  t.match(await registry.metrics(), /^fairlead_connections 0$/m);
});

t.test('refused sockets count neither as open nor as closed', async (t) => {
  const fixture = await startFront({ limits: { maxSocketsPerUser: 1 }, tokens: { ann: 'token-a', bob: 'token-b' } });
  t.teardown(() => fixture.close());
  const open = await connect(fixture.url, { token: 'token-a' });
  t.teardown(() => open.terminate());
  await open.ready;
  for (const options of [{ token: 'token-a' }, { token: 'wrong' }, {}]) {
    await (
      await connect(fixture.url, options)
    ).closed;
  }
  t.match(await registry.metrics(), /^fairlead_connections 1$/m);
  const second = await connect(fixture.url, { token: 'token-b' });
  t.teardown(() => second.terminate());
  await second.ready;
  t.match(await registry.metrics(), /^fairlead_connections 2$/m);
  await open.close();
  await second.close();
  t.match(await registry.metrics(), /^fairlead_connections 0$/m);
});
