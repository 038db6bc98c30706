import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import pc from 'picocolors';
import { diagnose, diagnosisText, type Check, type Diagnosis } from '../../../../src/cli/doctor/doctor.js';
import { checkPort, isAtLeast } from '../../../../src/cli/doctor/doctor-host.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { JwtIssuer } from '../../../helpers/jwt-issuer.js';
import { startRedis } from '../../../helpers/redis.js';
import { runCli } from '../spawn-cli.js';

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'fairlead-doctor-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function named({ checks }: Diagnosis, name: string): Check[] {
  return checks.filter((check) => check.name === name);
}

/** Nothing but the given environment; a port that is free. */
function look(t: Test, env: NodeJS.ProcessEnv): Promise<Diagnosis> {
  return diagnose({ PORT: '0', ...env }, folder(t));
}

t.test('a Redis that does not answer is a failed check with a hint, and exit 1', async (t) => {
  const env = { REDIS_URL: `redis://:secret@127.0.0.1:${await deadPort()}`, PORT: '0' };
  const { code, stdout } = await runCli(t, ['doctor', '--json'], { env });
  t.equal(code, 1);
  t.notMatch(stdout, 'secret');
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  t.equal(diagnosis.ok, false);
  t.match(named(diagnosis, 'store'), [{ status: 'failed', hint: /REDIS_URL/ }]);
  const text = await runCli(t, ['doctor'], { env });
  t.equal(text.code, 1);
  t.match(text.stdout, /✗ store/);
  t.notMatch(text.stdout, '\u001B', 'no colours in a pipe');
});

t.test('a Redis that cannot be the store is told in the words of the start', async (t) => {
  const redis = await startRedis({ args: ['--cluster-enabled', 'yes'] });
  t.teardown(() => redis.stop());
  const cluster = { status: 'failed', detail: /one node of a Redis Cluster/, hint: /cluster-enabled no/ };
  t.match(named(await look(t, { REDIS_URL: redis.url }), 'store'), [cluster]);
  const hash = await look(t, { REDIS_URL: 'redis://user:12#s3cret@127.0.0.1' });
  t.match(named(hash, 'configuration'), [{ status: 'failed', detail: /store\.redisUrl: .*%23/ }]);
  t.notMatch(JSON.stringify(hash), /s3cret|user:12|:12/);
});

t.test('what this machine has is found: Node, both addons, open files', async (t) => {
  const diagnosis = await look(t, {});
  for (const name of ['node', 'uWebSockets', 'lz4', 'lmdb', 'configuration', 'port']) {
    t.match(named(diagnosis, name), [{ status: 'ok' }], name);
  }
  t.match(named(diagnosis, 'open files'), [{ status: /^(ok|warning)$/ }]);
  t.match(named(diagnosis, 'store'), [{ status: 'ok', detail: /LMDB/ }]);
  t.match(named(diagnosis, 'model'), [{ status: 'ok', detail: /demo/ }]);
});

t.test('a Redis that is there is named with its version, and its unsafe settings are warnings', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const diagnosis = await look(t, { REDIS_URL: redis.url });
  const [version, ...settings] = named(diagnosis, 'store');
  t.match(version, { status: 'ok', detail: /Redis \d+\.\d+/ });
  t.ok(settings.every(({ status }) => status === 'warning'));
});

t.test('a program that has the port and says nothing is named, and soon', async (t) => {
  const silent = createServer((socket) => socket.on('error', () => undefined));
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const config = parseConfig({ listen: { port } }, {});
  const [finding] = await checkPort(config, AbortSignal.timeout(60_000));
  t.match(finding, {
    status: 'failed',
    detail: new RegExp(`cannot listen .*EADDRINUSE.*${process.pid}`),
    hint: /end that program/,
  });
});

t.test('every problem of the configuration is a failed check, and the others still look', async (t) => {
  const cwd = folder(t);
  writeFileSync(join(cwd, 'fairlead.json'), JSON.stringify({ listen: { port: -1 }, nonsense: 1 }));
  const diagnosis = await diagnose({ PORT: '0' }, cwd);
  t.equal(diagnosis.ok, false);
  const details = named(diagnosis, 'configuration').map(({ detail }) => detail);
  t.match(details.sort(), [/^listen\.port: /, /^nonsense: /]);
  t.match(named(diagnosis, 'store'), [{ status: 'ok' }]);
});

t.test('a port in use is a failed check, one that a healthy server has a warning', async (t) => {
  const other = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await once(other, 'listening');
  const taken = await look(t, { PORT: String((other.address() as AddressInfo).port) });
  const pid = new RegExp(`EADDRINUSE.*\\(pid ${process.pid}\\)`);
  t.match(named(taken, 'port'), [{ status: 'failed', detail: pid, hint: /end that program/ }]);
  const healthy = createHttpServer((_, response) => response.end('{}')).listen(0, '127.0.0.1');
  t.teardown(() => healthy.close());
  await once(healthy, 'listening');
  const ours = await look(t, { PORT: String((healthy.address() as AddressInfo).port) });
  t.match(named(ours, 'port'), [{ status: 'warning' }]);
});

t.test('a unit that may not listen on a port below 1024 is a cross, also where root may', async (t) => {
  const { signal } = new AbortController();
  const config = parseConfig({}, { PORT: '1', HOST: '127.0.0.1' });
  t.match(await checkPort(config, signal, { lowPorts: false }), [
    { status: 'failed', detail: /may not listen on 127\.0\.0\.1:1: .*CAP_NET_BIND_SERVICE/, hint: /service install/ },
  ]);
  const high = parseConfig({}, { PORT: '0', HOST: '127.0.0.1' });
  t.match(await checkPort(high, signal, { lowPorts: false }), [{ status: 'ok' }]);
});

t.test('the model is asked with the key: taken, refused, not there', async (t) => {
  const keys: unknown[] = [];
  const model = createHttpServer((request, response) => {
    keys.push(request.headers['x-api-key']);
    response.statusCode = request.headers['x-api-key'] === 'good' ? 200 : 401;
    response.end('{"data":[]}');
  }).listen(0, '127.0.0.1');
  t.teardown(() => model.close());
  await once(model, 'listening');
  const base = `http://127.0.0.1:${(model.address() as AddressInfo).port}`;
  const ask = async (key: string, url: string) =>
    named(await look(t, { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: url }), 'model');
  t.match(await ask('good', `${base}/`), [{ status: 'ok' }]);
  t.match(await ask('bad', base), [{ status: 'failed', hint: /ANTHROPIC_API_KEY/ }]);
  t.match(await ask('good', `http://127.0.0.1:${await deadPort()}`), [{ status: 'failed' }]);
  t.strictSame(keys, ['good', 'bad', 'bad'], 'a refusal is asked about once more, where messages go');
});

t.test('a Docker that is configured and does not answer is a failed check', async (t) => {
  const diagnosis = await look(t, { DOCKER_HOST: `tcp://127.0.0.1:${await deadPort()}` });
  t.match(named(diagnosis, 'docker'), [{ status: 'failed', detail: /ECONNREFUSED/ }]);
});

t.test('a plain process as the sandbox is a warning', async (t) => {
  const cwd = folder(t);
  writeFileSync(join(cwd, 'fairlead.json'), JSON.stringify({ sandbox: { driver: 'process' } }));
  t.match(named(await diagnose({ PORT: '0' }, cwd), 'docker'), [{ status: 'warning' }]);
});

t.test('the data folder must be one', async (t) => {
  const cwd = folder(t);
  writeFileSync(join(cwd, 'file'), '');
  const diagnosis = await diagnose({ PORT: '0', FAIRLEAD_DATA: join(cwd, 'file', 'data') }, cwd);
  t.match(named(diagnosis, 'store'), [{ status: 'failed', hint: /FAIRLEAD_DATA/ }]);
});

t.test('the text is aligned, a hint under its check', async (t) => {
  const checks: Check[] = [
    { name: 'auth', status: 'ok', detail: 'fine' },
    { name: 'open files', status: 'failed', detail: 'broken', hint: 'mend it' },
  ];
  const text = diagnosisText({ ok: false, checks }, pc.createColors(false));
  t.match(text, '✓ auth        fine\n✗ open files  broken\n              → mend it\n');
});

t.test('versions compare by number', async (t) => {
  t.equal(isAtLeast('6.2', '6.2'), true);
  t.equal(isAtLeast('7.0.15', '6.2'), true);
  t.equal(isAtLeast('6.10.0', '6.2'), true);
  t.equal(isAtLeast('6.0.16', '6.2'), false);
  t.equal(isAtLeast('20.19.0-rc1', '20.19.0'), true);
});

t.test('an issuer is asked for its keys, and one that is named otherwise than it names itself is told', async (t) => {
  const issuer = await JwtIssuer.start();
  t.teardown(() => issuer.close());
  const lookAt = (url: string): Promise<Diagnosis> => {
    const dir = folder(t);
    const file = join(dir, 'fairlead.json');
    writeFileSync(file, JSON.stringify({ auth: { oidc: { issuer: url, audiences: ['a'] } } }));
    return look(t, { FAIRLEAD_CONFIG: file });
  };
  const [, good] = named(await lookAt(issuer.url), 'auth');
  t.match(good, { status: 'ok', detail: `${issuer.url} answers, and has 1 key` });
  const [, otherName] = named(await lookAt(`${issuer.url}/`), 'auth');
  t.match(otherName, { status: 'failed', detail: /another issuer/, hint: /to the letter/ });
  issuer.away = true;
  const [, away] = named(await lookAt(issuer.url), 'auth');
  t.match(away, { status: 'failed', detail: /answers 503/ });
});
