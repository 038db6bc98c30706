/** An administrator reads and stops at one server what runs at another: the first moves nothing, the second happens where it runs. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { auditFolder } from '../../src/audit/files.js';
import { text } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(300_000); // whole processes, on a machine that may be busy

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const config = {
  auth: {
    support: true,
    tokens: [
      { user: 'root', sha256: sha256('token-of-root'), role: 'admin' },
      { user: 'ada', sha256: sha256('token-of-ada') },
    ],
  },
};
const { a, b, model } = await startTwoServers(t, { config, docker: true });

interface Busy {
  client: TestClient;
  session: string;
  free: () => void;
}

/** A session of ada's at B, whose turn is in the middle of an answer. */
async function busy(): Promise<Busy> {
  const held = deferred<void>();
  model.enqueue({ blocks: [{ text: 'half ' }, { gate: held.promise, text: 'and whole' }] });
  const client = await connect(b.wsUrl, { token: 'token-of-ada' });
  const { session } = await client.ready;
  client.say('work');
  await client.waitFor('text:delta');
  return { client, session, free: () => held.resolve() };
}

function asRoot(method: string, path: string): Promise<Response> {
  return fetch(a.url + path, { method, headers: { authorization: 'Bearer token-of-root' } });
}

interface Entry {
  what: string;
  user?: string;
  session?: string;
  about?: Record<string, unknown>;
}

function entriesOf(dataDir: string, session: string): Entry[] {
  const folder = auditFolder(dataDir);
  const lines = readdirSync(folder).flatMap((file) => readFileSync(join(folder, file), 'utf8').trim().split('\n'));
  return lines.map((line) => JSON.parse(line) as Entry).filter((entry) => entry.session === session);
}

t.test('a look at a session of another server moves nothing: its turn goes on, and its user is told', async (t) => {
  const { client, session, free } = await busy();
  t.teardown(free);
  const looked = await asRoot('GET', `/v1/admin/sessions/${session}/history`);
  t.equal(looked.status, 200);
  t.match(await looked.text(), /work/);
  t.match(await client.waitFor('notice', { from: 0 }), { code: 'support_look', message: /root has read/ });
  free();
  t.match(await client.turnEnd(1), { stopReason: 'end_turn' });
  model.enqueue(text('still here'));
  t.match(await client.ask('and on'), { stopReason: 'end_turn' }, 'on the same connection');
  t.same(client.gaps(), []);
  await client.close();
  const later = await connect(b.wsUrl, { token: 'token-of-ada', session, after: 0 });
  t.match(await later.waitFor('notice', { from: 0 }), { code: 'support_look' }, 'whoever comes back sees it, too');
  await later.close();
});

t.test('a look that is a HEAD is none, and one at one’s own session is not told to oneself', async (t) => {
  const client = await connect(a.wsUrl, { token: 'token-of-root' });
  const { session } = await client.ready;
  const path = `/v1/admin/sessions/${session}/history`;
  t.equal((await asRoot('HEAD', path)).status, 405);
  t.equal((await asRoot('GET', path)).status, 200);
  model.enqueue(text('hello'));
  await client.ask('hello');
  t.notOk(client.events.some(({ type }) => type === 'notice'));
  await client.close();
});

t.test(
  'a turn that is stopped at one server stops at the one where it runs, and is the administrator’s act',
  async (t) => {
    const { client, session, free } = await busy();
    t.teardown(free);
    t.equal((await asRoot('POST', `/v1/admin/sessions/${session}/cancel`)).status, 200);
    t.match(await client.turnEnd(1), { stopReason: 'cancelled' }, 'though the model has not gone on');
    model.enqueue(text('still here'));
    t.match(await client.ask('and on'), { stopReason: 'end_turn' }, 'on the same connection');
    t.equal((await asRoot('POST', `/v1/admin/sessions/${session}/cancel`)).status, 200, 'where no turn runs, too');
    t.equal((await asRoot('DELETE', `/v1/admin/sessions/${session}`)).status, 204);
    const isTold = (): boolean => entriesOf(b.dataDir, session).some(({ what }) => what === 'session_deleted');
    await until('the log has the deletion', isTold, { timeoutMs: 60_000 });
    const acts = entriesOf(b.dataDir, session).filter(({ what }) => /cancelled|deleted/.test(what));
    const byRoot = { user: 'root', about: { owner: 'ada' } };
    t.match(acts, [
      { what: 'turn_cancelled', ...byRoot },
      { what: 'session_deleted', ...byRoot },
    ]);
    t.equal(acts.length, 2, 'nothing is told of a turn that did not run');
  },
);

t.test('where the server that has a session is away, a look ends no turn that is open there', async (t) => {
  const { session, free } = await busy();
  t.teardown(free);
  b.signal('SIGKILL');
  await b.exited;
  const path = `/v1/admin/sessions/${session}`;
  const refused = await asRoot('GET', `${path}/history`);
  t.match(await refused.json(), { code: 'ERR_UNAVAILABLE', detail: /end the session first/ });
  t.match(await (await asRoot('GET', path)).json(), { running: true });
  t.equal((await asRoot('POST', `${path}/end`)).status, 200);
  t.equal((await asRoot('GET', `${path}/history`)).status, 200);
  await b.start();
});
