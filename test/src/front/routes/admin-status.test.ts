import t from 'tap';
import { createHash } from 'node:crypto';
import { serverStatusSchema } from '../../../../src/shared/server-status.js';
import { connect } from '../../../helpers/ws-client.js';
import { startFront } from '../front-fixture.js';

function tokenOf(user: string, role: string): object {
  return { user, role, sha256: createHash('sha256').update(`token-${user}`).digest('hex') };
}

t.test('operators see how the server does, with the people who are connected; users do not', async (t) => {
  const fixture = await startFront({
    auth: { mode: 'token', tokens: [tokenOf('ada', 'user'), tokenOf('olga', 'operator')] },
  });
  t.teardown(() => fixture.close());
  const client = await connect(fixture.url, { token: 'token-ada' });
  t.teardown(() => client.terminate());
  await client.ready;
  const ask = (user: string): Promise<Response> =>
    fetch(`${fixture.url}/v1/admin/status`, { headers: { authorization: `Bearer token-${user}` } });
  t.equal((await ask('ada')).status, 403);
  const answer = await ask('olga');
  t.equal(answer.status, 200);
  const status = serverStatusSchema.parse(await answer.json());
  t.match(status, { people: { users: 1, connections: 1 }, sessions: { attached: 1, inMemory: 3 } });
});
