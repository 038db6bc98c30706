import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseConfig, type Config } from '../../../src/shared/config.js';
import { chooseDriver, probeDocker } from '../../../src/boot/docker-detect.js';
import { dockerFault } from '../../../src/shared/docker-faults.js';
import { dockerHost } from '../../helpers/docker.js';
import { freePort } from '../../helpers/processes.js';
import { startSilentServer } from '../../helpers/silent-server.js';
import { ECHO, makeTinyImage } from '../../helpers/tiny-image.js';

const echo = await makeTinyImage(ECHO);
t.teardown(() => echo.remove());

interface Given {
  host?: string;
  image?: string;
  sandbox?: Record<string, unknown>;
  listen?: string;
  /** More of the configuration. */
  more?: Record<string, unknown>;
}

const TOKENS = { tokens: [{ user: 'user-1', sha256: '0'.repeat(64) }] };

function configOf({ host = dockerHost(), image = echo.tag, sandbox = {}, listen = '', more = {} }: Given = {}): Config {
  return parseConfig({ sandbox, mcpServers: { workspace: { image } }, ...more }, { DOCKER_HOST: host, HOST: listen });
}

const nowhere = join('/nonexistent', 'docker.sock');

t.test('a Docker that answers is used', async (t) => {
  t.match(chooseDriver(configOf()), { driver: 'docker' });
  t.match(await probeDocker(configOf()), { state: 'usable', describe: /^Docker \d+\..*no network/ });
});

t.test('a runtime or a limit that Docker does not have is an error that names the field', async (t) => {
  const sandbox = { runtime: 'no-such-runtime', cpus: 10_000 };
  await t.rejects(probeDocker(configOf({ sandbox })), {
    code: 'ERR_START',
    message: /sandbox\.runtime.*sandbox\.cpus/,
  });
});

t.test('a configured Docker that is not there is waited for, never replaced', async (t) => {
  const host = `tcp://127.0.0.1:${await freePort()}`;
  const driver = { sandbox: { driver: 'docker' } };
  for (const given of [{ host }, { host: `unix://${nowhere}` }, { host: '', ...driver }]) {
    t.match(chooseDriver(configOf(given), nowhere), { driver: 'docker' });
    const answer = await probeDocker(configOf(given), undefined, nowhere);
    t.match(answer, { state: 'away', what: /does not answer \((ECONNREFUSED|ENOENT)\)$/, todo: /DOCKER_HOST/ });
  }
  t.throws(() => configOf({ host: 'ftp://somewhere' }), { code: 'ERR_CONFIG' });
});

t.test('a configured Docker that hangs is away within seconds', async (t) => {
  const silent = await startSilentServer();
  t.teardown(() => silent.close());
  const began = performance.now();
  t.match(await probeDocker(configOf({ host: silent.host })), { state: 'away', what: /within 3000 ms/ });
  t.ok(performance.now() - began < 8_000);
});

t.test('a Docker that refuses this account, or speaks another language, is no matter of time', async (t) => {
  const server = createHttpServer((_, response) => response.writeHead(403).end('{"message":"authorization denied"}'));
  t.teardown(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const host = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.match(await probeDocker(configOf({ host })), { state: 'unfit', what: /authorization denied/ });
  for (const code of ['EACCES', 'EPERM', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT']) {
    t.match(dockerFault(Object.assign(new Error('x'), { code })), { passes: false }, code);
  }
  for (const code of ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EAI_AGAIN', 'ETIMEDOUT']) {
    t.match(dockerFault(Object.assign(new Error('x'), { code })), { passes: true }, code);
  }
});

t.test('without Docker and with nothing configured, child processes with a warning', async (t) => {
  t.match(chooseDriver(configOf({ host: '' }), nowhere), { driver: 'process', warning: String });
});

t.test('child processes never replace a Docker for others than the owner of the machine', async (t) => {
  for (const [why, given] of [
    ['auth.tokens', { more: { auth: TOKENS } }],
    ['mcp.publicUrl', { more: { mcp: { publicUrl: 'https://ai.example.org' } } }],
    ['listen.host', { listen: '0.0.0.0', more: { auth: TOKENS } }],
    ['auth.mode', { more: { auth: { mode: 'none' } } }],
  ] as [string, Given][]) {
    const config = configOf({ host: '', ...given });
    t.match(chooseDriver(config, nowhere), { driver: 'docker' }, why);
    const answer = await probeDocker(config, undefined, nowhere);
    t.match(answer, { state: 'away', todo: new RegExp(`start it.*${why}.*sandbox.driver`) });
  }
});

t.test('a Docker that is there and silent, or no socket, is not replaced for its owner, either', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-detect-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const socket = join(folder, 'docker.sock');
  const silent = createServer((connection) => connection.on('error', () => undefined)).listen(socket);
  await once(silent, 'listening');
  t.match(chooseDriver(configOf({ host: '' }), socket), { driver: 'docker' });
  t.match(await probeDocker(configOf({ host: '' }), undefined, socket), { state: 'away', todo: /sandbox\.driver/ });
  silent.close();
  await writeFile(socket, '');
  t.match(await probeDocker(configOf({ host: '' }), undefined, socket), { what: /does not answer/ });
});

t.test('driver process uses child processes even where Docker runs', async (t) => {
  t.equal(chooseDriver(configOf({ sandbox: { driver: 'process' } })).driver, 'process');
});

t.test(
  'a Docker that only the docker command finds, by its context, ends the start with the address to set',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'fl-context-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    const before = process.env['DOCKER_CONFIG'];
    process.env['DOCKER_CONFIG'] = folder;
    t.teardown(() =>
      before === undefined ? delete process.env['DOCKER_CONFIG'] : (process.env['DOCKER_CONFIG'] = before),
    );
    const meta = join(folder, 'contexts', 'meta', createHash('sha256').update('rootless').digest('hex'));
    await mkdir(meta, { recursive: true });
    const use = (host: string): Promise<void> =>
      writeFile(join(meta, 'meta.json'), JSON.stringify({ Name: 'rootless', Endpoints: { docker: { Host: host } } }));
    await use('unix:///run/user/1000/docker.sock');
    const choose = (given: Given): unknown => chooseDriver(configOf({ host: '', ...given }), nowhere);
    t.match(choose({}), { driver: 'process' }, 'the command has no context');
    await writeFile(join(folder, 'config.json'), JSON.stringify({ currentContext: 'rootless' }));
    for (const given of [{}, { sandbox: { driver: 'docker' } }, { more: { auth: TOKENS } }]) {
      t.throws(() => choose(given), {
        code: 'ERR_START',
        message: /context rootless .*set DOCKER_HOST=unix:\/\/\/run\/user\/1000\/docker\.sock/,
      });
    }
    t.match(choose({ sandbox: { driver: 'process' } }), { driver: 'process' });
    t.match(choose({ host: dockerHost() }), { driver: 'docker' });
    await use(`unix://${nowhere}`);
    t.match(choose({ sandbox: { driver: 'docker' } }), { driver: 'docker' }, 'it leads to the same socket');
    await writeFile(join(folder, 'config.json'), 'not json');
    t.match(choose({}), { driver: 'process' });
  },
);
