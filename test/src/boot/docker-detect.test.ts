import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseConfig, type Config } from '../../../src/shared/config.js';
import { detectSandbox } from '../../../src/boot/docker-detect.js';
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
  t.match(await detectSandbox(configOf()), { driver: 'docker', version: /^\d+\./, describe: /no network/ });
});

t.test('a runtime or a limit that Docker does not have is an error that names the field', async (t) => {
  const sandbox = { runtime: 'no-such-runtime', cpus: 10_000 };
  await t.rejects(detectSandbox(configOf({ sandbox })), {
    code: 'ERR_START',
    message: /sandbox\.runtime.*sandbox\.cpus/,
  });
});

t.test('a configured Docker that is not there is an error, never a fallback', async (t) => {
  const host = `tcp://127.0.0.1:${await freePort()}`;
  await t.rejects(detectSandbox(configOf({ host })), { code: 'ERR_START' });
  await t.rejects(detectSandbox(configOf({ host: `unix://${nowhere}` })), { code: 'ERR_START' });
  await t.rejects(detectSandbox(configOf({ host: '', sandbox: { driver: 'docker' } }), nowhere), {
    code: 'ERR_START',
  });
  await t.rejects(detectSandbox(configOf({ host: 'ftp://somewhere' })), { code: 'ERR_START' });
});

t.test('a configured Docker that hangs is an error within seconds', async (t) => {
  const silent = await startSilentServer();
  t.teardown(() => silent.close());
  const began = performance.now();
  await t.rejects(detectSandbox(configOf({ host: silent.host })), { code: 'ERR_START' });
  t.ok(performance.now() - began < 8_000);
});

t.test('without Docker and with nothing configured, child processes with a warning', async (t) => {
  const choice = await detectSandbox(configOf({ host: '' }), nowhere);
  t.match(choice, { driver: 'process', warning: String });
});

t.test('child processes never replace a Docker for others than the owner of the machine', async (t) => {
  for (const [why, given] of [
    ['auth.tokens', { more: { auth: TOKENS } }],
    ['mcp.publicUrl', { more: { mcp: { publicUrl: 'https://ai.example.org' } } }],
    ['listen.host', { listen: '0.0.0.0', more: { auth: TOKENS } }],
    ['auth.mode', { more: { auth: { mode: 'none' } } }],
  ] as [string, Given][]) {
    await t.rejects(detectSandbox(configOf({ host: '', ...given }), nowhere), {
      code: 'ERR_START',
      message: new RegExp(`${why}.*Start Docker.*sandbox.driver`),
    });
  }
});

t.test('a Docker that is there and silent, or not for this account, is an error for its owner, too', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-detect-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const socket = join(folder, 'docker.sock');
  const silent = createServer((connection) => connection.on('error', () => undefined)).listen(socket);
  await once(silent, 'listening');
  await t.rejects(detectSandbox(configOf({ host: '' }), socket), { code: 'ERR_START', message: /sandbox\.driver/ });
  silent.close();
  await writeFile(socket, '');
  await t.rejects(detectSandbox(configOf({ host: '' }), socket), { code: 'ERR_START', message: /does not answer/ });
});

t.test('driver process uses child processes even where Docker runs', async (t) => {
  const choice = await detectSandbox(configOf({ sandbox: { driver: 'process' } }));
  t.equal(choice.driver, 'process');
});
