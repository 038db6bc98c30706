/** A server with a certificate of its own, and the commands that talk to it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startEngine } from '../helpers/engine.js';
import { makeCertificate } from '../helpers/make-certificate.js';
import { runCli } from '../src/cli/spawn-cli.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const folder = await mkdtemp(join(tmpdir(), 'fl-tls-'));
t.teardown(() => rm(folder, { recursive: true }));
const made = await makeCertificate({ folder, names: ['DNS:localhost'] });
const other = await makeCertificate({ folder, name: 'other' });
const engine = await startEngine({
  env: { DOCKER_HOST: '' },
  config: { auth: {}, sandbox: { driver: 'process' }, approvals: { default: 'allow' }, listen: { tls: made } },
});
t.teardown(() => engine.stop());
const { port } = new URL(engine.url);
const url = `https://localhost:${port}`;
const trusting = { NODE_EXTRA_CA_CERTS: made.cert, FAIRLEAD_TOKEN: await engine.token() };
const { NODE_EXTRA_CA_CERTS: _trust, ...doubting } = trusting;

t.test('it says https, and chat and the other commands reach it there', async (t) => {
  t.match(engine.url, /^https:\/\/127\.0\.0\.1:\d+$/);
  const chat = await runCli(t, ['chat', url, '--yes'], { env: trusting, stdin: 'List all files in /workspace\n' });
  t.match(chat, { code: 0, stdout: /\S/ });
  const list = await runCli(t, ['mcp', 'list', '--url', url], { env: trusting });
  t.match(list, { code: 0, stdout: /workspace/ });
});

t.test('a certificate that is not trusted, or of another name, is named with what to do', async (t) => {
  for (const args of [
    ['chat', url],
    ['mcp', 'list', '--url', url],
  ]) {
    const untrusted = await runCli(t, args, { env: doubting, stdin: 'hello\n' });
    t.match(untrusted, {
      code: 1,
      stderr: /not trusted here \(DEPTH_ZERO_SELF_SIGNED_CERT\): set NODE_EXTRA_CA_CERTS/,
    });
    const byAddress = args.map((arg) => arg.replace('localhost', '127.0.0.1'));
    const named = await runCli(t, byAddress, { env: trusting, stdin: 'hello\n' });
    t.match(named, { code: 1, stderr: /certificate is for another name.*DNS:localhost/ });
    const plain = args.map((arg) => arg.replace('https:', 'http:'));
    const cut = await runCli(t, plain, { env: trusting, stdin: 'hello\n' });
    t.match(cut, { code: 1, stderr: /where it speaks TLS, write https:\/\// });
  }
});

t.test(
  'on the server’s own machine commands know it by the certificate of the configuration, at any address',
  async (t) => {
    const env = { FAIRLEAD_CONFIG: engine.configPath, FAIRLEAD_DATA: engine.dataDir };
    for (const args of [['status'], ['reload'], ['admin', 'users', 'list']]) {
      const { code, stdout, stderr } = await runCli(t, args, { env });
      t.equal(code, 0, `${args.join(' ')}: ${stderr}`);
      t.notMatch(stdout, /no numbers/);
    }
    const wrong = JSON.stringify({ listen: { port: Number(port), tls: { cert: other.cert, key: other.key } } });
    const file = join(folder, 'wrong.json');
    await writeFile(file, wrong);
    const refused = await runCli(t, ['reload', '--url', `https://127.0.0.1:${port}`], {
      env: { ...env, FAIRLEAD_CONFIG: file },
    });
    t.match(refused, { code: 1, stderr: /another certificate than that of listen\.tls/ });
  },
);

t.test('a key of another certificate is refused by the check of the configuration and by the start', async (t) => {
  await t.rejects(
    startEngine({ env: { DOCKER_HOST: '' }, config: { listen: { tls: { ...made, key: other.key } } } }),
    /is not that of the certificate/,
  );
  const checked = startEngine({
    env: { DOCKER_HOST: '' },
    config: { listen: { tls: { ...made, cert: '/nowhere' } } },
    args: ['--check-config'],
  });
  await t.rejects(checked, /the certificate cannot be read: \/nowhere \(ENOENT\)/);
});
