/** The audit log of a whole server: what people and tools did, through kills and full disks; and nothing that they said. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { auditFolder } from '../../src/audit/files.js';
import { verifyLog } from '../../src/audit/verify.js';
import { startEngine, type Engine } from '../helpers/engine.js';
import { mountSmallDisk } from '../helpers/small-disk.js';
import { until } from '../helpers/until.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const IN_TIME = { timeoutMs: 60_000 };
const ARGS = { command: 'echo sesame' };

type Entry = Record<string, unknown> & { what: string; about?: Record<string, unknown> };

interface World {
  engine: Engine;
  dataDir: string;
  token: string;
  text: () => string;
  entries: () => Entry[];
  /** The acts of one session, in their order. */
  acts: (session: string) => string[];
  /** Until the log has so many entries of this act. */
  has: (what: string, count?: number) => Promise<void>;
  client: () => Promise<TestClient>;
}

async function world(
  t: Test,
  audit: object = {},
  prepare: (dataDir: string) => void = () => undefined,
  auth: object = {},
): Promise<World> {
  const dataDir = mkdtempSync(join(tmpdir(), 'fl-audit-engine-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  prepare(dataDir);
  const engine = await startEngine({
    config: { auth, sandbox: { driver: 'process' }, audit },
    env: { DOCKER_HOST: '', FAIRLEAD_DATA: dataDir },
  });
  t.teardown(() => engine.stop());
  const token = readFileSync(join(dataDir, 'token'), 'utf8').trim();
  const folder = auditFolder(dataDir);
  const text = (): string =>
    readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
  const entries = (): Entry[] =>
    text()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Entry);
  return {
    engine,
    dataDir,
    token,
    text,
    entries,
    acts: (session) => entries().flatMap((entry) => (entry['session'] === session ? [entry.what] : [])),
    has: (what, count = 1) =>
      until(`${what} is recorded`, () => entries().filter((entry) => entry.what === what).length >= count, IN_TIME),
    client: async () => {
      const client = await connect(engine.wsUrl, { token });
      t.teardown(() => client.close());
      return client;
    },
  };
}

t.test('what a person and their tools do is recorded, with digests in place of what was said', async (t) => {
  const { engine, dataDir, token, text, entries, acts, has, client: open } = await world(t);
  const client = await open();
  const { session } = await client.ready;
  client.say('run echo sesame');
  const { callId } = await client.waitFor('tool:approval_required');
  client.approve(callId);
  await client.turnEnd();
  client.say('run echo never');
  const refused = await client.waitFor('tool:approval_required');
  client.deny(refused.callId, 'because of reasons');
  await client.turnEnd();
  client.send({ type: 'history:reset' });
  await client.waitFor('history:cleared');
  const path = `${engine.url}/v1/sessions`;
  const headers = { authorization: `Bearer ${token}` };
  await fetch(path, { headers: { authorization: 'Bearer flt_wrong' } });
  await fetch(`${path}/${session}`, { method: 'DELETE', headers });
  await has('session_deleted');
  t.same(acts(session), [
    'session_made',
    'message_accepted',
    'tool_asked',
    'tool_allowed',
    'tool_run',
    'tool_done',
    'message_accepted',
    'tool_asked',
    'tool_denied',
    'history_cleared',
    'session_deleted',
  ]);
  const find = (what: string): Entry | undefined => entries().find((entry) => entry.what === what);
  const digest = createHash('sha256').update(JSON.stringify(ARGS)).digest('hex');
  t.match(find('message_accepted'), { user: 'local', credential: 'file', address: '127.0.0.1', about: { turn: 1 } });
  t.match(find('tool_run'), {
    user: 'local',
    about: { callId, server: 'workspace', tool: 'run_command', argsSha256: digest },
  });
  t.match(find('tool_allowed'), { credential: 'file', about: { callId, tool: 'run_command', by: 'user' } });
  t.match(find('tool_done'), { outcome: 'ok', about: { callId, tool: 'run_command' } });
  t.match(find('tool_denied'), {
    outcome: 'refused',
    about: { callId: refused.callId, server: 'workspace', by: 'user' },
  });
  t.match(find('login'), { user: 'local', credential: 'file', address: '127.0.0.1', about: { role: 'admin' } });
  t.match(find('login_failed'), { outcome: 'refused', address: '127.0.0.1', about: { code: 'ERR_UNAUTHORIZED' } });
  t.match(find('config_loaded'), { about: { file: engine.configPath, fileSha256: sha256Of(engine.configPath) } });
  for (const secret of ['sesame', 'never', 'reasons', token, 'flt_wrong']) t.notMatch(text(), secret);
  await engine.stop();
  t.equal((await verifyLog(dataDir)).break, undefined);
});

t.test('the chain goes on after kills in the middle of work, and each tool that ran was recorded before', async (t) => {
  const { engine, dataDir, entries } = await world(t, { sync: 'each', arguments: 'full' });
  for (let round = 0; round < 3; round++) {
    const client = await connect(engine.wsUrl, { token: readFileSync(join(dataDir, 'token'), 'utf8').trim() });
    client.say('run echo one and run echo two');
    for (let asked = 0; asked < 2; asked++) client.approve((await client.waitFor('tool:approval_required')).callId);
    await client.waitFor('tool:output');
    const ran = client.events.flatMap((event) => (event.type === 'tool:output' ? [event.callId] : []));
    await engine.restart({ signal: 'SIGKILL' });
    const recorded = new Set(entries().flatMap(({ what, about }) => (what === 'tool_run' ? [about?.['callId']] : [])));
    for (const callId of ran) t.ok(recorded.has(callId), `${callId} is on the disk`);
    await client.closed;
  }
  await engine.stop();
  const verdict = await verifyLog(dataDir);
  t.equal(verdict.break, undefined);
  t.equal(entries().filter(({ what }) => what === 'audit_started').length, 4);
  t.match(
    JSON.stringify(entries().find(({ what }) => what === 'tool_run')),
    'echo one',
    'and in full with their arguments',
  );
});

t.test(
  'an administrator who reads a session is recorded, and a list of sessions tells nothing of what was said',
  async (t) => {
    const { engine, token, entries, client: open } = await world(t, {}, undefined, { support: true });
    const client = await open();
    const { session } = await client.ready;
    await client.ask('hello');
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${engine.url}/v1/admin/sessions/${session}/history`, { headers });
    t.match(await answer.json(), { transcript: [{ role: 'user' }, { role: 'assistant' }] });
    const listed = await fetch(`${engine.url}/v1/admin/sessions`, { headers });
    const text = await listed.text();
    t.match(JSON.parse(text), { sessions: [{ session, user: 'local', turns: 1, messages: 2, running: false }] });
    t.notMatch(text, 'hello');
    await until('the look is recorded', () => entries().some(({ what }) => what === 'support_look'), IN_TIME);
  },
);

t.test('while the log cannot be written work is refused, /readyz says why, and it goes on by itself', async (t) => {
  const disk = mountSmallDisk(128);
  t.teardown(() => disk.remove());
  const onDisk = (dataDir: string): void => {
    mkdirSync(join(disk.dir, 'audit'));
    symlinkSync(join(disk.dir, 'audit'), auditFolder(dataDir));
  };
  const { engine, dataDir, token, has, client: open } = await world(t, {}, onDisk);
  const client = await open();
  await client.ask('hello');
  disk.fill();
  const fill = async (): Promise<boolean> => {
    await fetch(`${engine.url}/v1/sessions`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
    return (await fetch(`${engine.url}/readyz`)).status === 503;
  };
  await until('the page that is there is full', fill, IN_TIME);
  t.match(await (await fetch(`${engine.url}/readyz`)).text(), 'the audit log cannot be written (ENOSPC)');
  client.say('hello again');
  t.match(await client.waitFor('error'), { code: 'ERR_UNAVAILABLE', message: /audit log/ });
  const headers = { authorization: `Bearer ${token}` };
  t.equal((await fetch(`${engine.url}/v1/sessions`, { headers })).status, 200, 'reading goes on');
  disk.empty();
  await engine.waitForReadiness(200);
  t.match(await client.ask('hello once more'), { stopReason: 'end_turn' });
  await has('audit_failed');
  await engine.stop();
  t.equal((await verifyLog(dataDir)).break, undefined);
});

t.test(
  'while a sink that must have the log is away work is refused, and it goes on when the sink is back',
  async (t) => {
    let away = false;
    let taken = '';
    const collector = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
      if (!away) taken += body;
      response.writeHead(away ? 503 : 200).end();
    });
    collector.listen(0, '127.0.0.1');
    await once(collector, 'listening');
    t.teardown(() => {
      collector.closeAllConnections();
      collector.close();
    });
    const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/in`;
    const { engine, token, client: open } = await world(t, { http: { url, required: true }, maxBehindMs: 1_000 });
    const client = await open();
    t.match(await client.ask('hello'), { stopReason: 'end_turn' });
    away = true;
    client.send({ type: 'history:reset' }); // an entry that waits from now on
    await client.waitFor('history:cleared');
    await engine.waitForReadiness(503);
    t.match(await (await fetch(`${engine.url}/readyz`)).text(), 'the audit log is not taken by audit.http');
    client.say('hello again');
    t.match(await client.waitFor('error'), { code: 'ERR_UNAVAILABLE', message: /audit log/ });
    const headers = { authorization: `Bearer ${token}` };
    t.equal((await fetch(`${engine.url}/v1/sessions`, { method: 'POST', headers })).status, 503);
    t.equal((await fetch(`${engine.url}/v1/sessions`, { headers })).status, 200, 'reading goes on');
    const block = `${engine.url}/v1/admin/users/eve/block`;
    const json = { ...headers, 'content-type': 'application/json' };
    t.equal((await fetch(block, { method: 'POST', headers: json, body: '{}' })).status, 200, 'so does keeping out');
    t.equal((await fetch(block, { method: 'DELETE', headers })).status, 503, 'but not letting in again');
    away = false;
    await engine.waitForReadiness(200);
    t.match(await client.ask('hello once more'), { stopReason: 'end_turn' });
    await until(
      'the sink has what it missed',
      () => /history_cleared[^]*user_blocked[^]*message_accepted/.test(taken),
      IN_TIME,
    );
  },
);

t.test('with onFailure continue work goes on', async (t) => {
  const { client: open, engine } = await world(t, { onFailure: 'continue' }, (dataDir) => {
    symlinkSync('/proc/nowhere', auditFolder(dataDir));
  });
  await engine.waitForLog(({ msg }) => msg === 'audit log: it cannot be written');
  t.equal((await fetch(`${engine.url}/readyz`)).status, 200);
  t.match(await (await open()).ask('hello'), { stopReason: 'end_turn' });
});

function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
