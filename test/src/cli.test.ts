import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { runCli } from './cli/spawn-cli.js';

// From dist/test/src to the package's root.
const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

t.test('--version prints the version of package.json', async (t) => {
  t.match(await runCli(t, ['--version']), { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
});

t.test('--help names every command and gives examples', async (t) => {
  const { code, stdout } = await runCli(t, ['--help']);
  t.equal(code, 0);
  for (const name of ['serve', 'chat', 'doctor', 'token', 'image', 'Examples:']) t.match(stdout, name);
});

t.test('an unknown command, an unknown option and no command at all exit 2', async (t) => {
  for (const args of [['sreve'], ['serve', '--nope'], [], ['token']]) {
    const { code, stdout, stderr } = await runCli(t, args);
    t.equal(code, 2, args.join(' '));
    t.equal(stdout, '');
    t.not(stderr, '');
  }
});

t.test('token prints two lines, the second with the hash of the first', async (t) => {
  const { code, stdout } = await runCli(t, ['token', 'user-1', '--quiet']);
  t.equal(code, 0);
  const [token = '', line = ''] = stdout.split('\n');
  t.strictSame(JSON.parse(line), { user: 'user-1', sha256: createHash('sha256').update(token).digest('hex') });
});

t.test('an error of ours is a line on stderr without a stack or colours, and exit 1', async (t) => {
  const { code, stdout, stderr } = await runCli(t, ['token', 'a b'], { env: { CI: '1' } });
  t.match({ code, stdout }, { code: 1, stdout: '' });
  t.match(stderr, /^error: the configuration has problems:\n {2}"a b": .+\n$/);
});

t.test('serve --check-config reports every problem of the configuration on a line with its path', async (t) => {
  const env = { PORT: 'many', LOG_LEVEL: 'loud', HOST: '0.0.0.0' };
  const { code, stderr } = await runCli(t, ['serve', '--check-config'], { env });
  t.equal(code, 78, 'EX_CONFIG: a service manager does not try again');
  t.equal((await runCli(t, ['serve'], { env })).code, 78);
  const lines = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  for (const path of ['PORT', 'LOG_LEVEL', 'auth.tokens']) {
    const found = lines.find((line) => 'path' in line && line.path === path);
    t.match(found, { level: 50, code: 'ERR_CONFIG', msg: `the configuration has a problem: ${path}: ` });
  }
  const { code: good, stdout, stderr: silent } = await runCli(t, ['serve', '--check-config']);
  t.match({ good, silent }, { good: 0, silent: '' });
  t.match(JSON.parse(stdout), { level: 30, thread: 'main', msg: 'the configuration is valid' });
});

t.test('serve --check-config warns of a rule that believes no server’s hints', async (t) => {
  const folder = t.testdir({
    'a.json': JSON.stringify({ approvals: { rules: [{ readOnly: true, action: 'allow' }] } }),
    'b.json': JSON.stringify({
      approvals: { rules: [{ readOnly: true, action: 'allow' }] },
      mcpServers: { docs: { url: 'https://docs.example/mcp', trustHints: true } },
    }),
  });
  const check = (file: string) =>
    runCli(t, ['serve', '--check-config'], { env: { FAIRLEAD_CONFIG: `${folder}/${file}` } });
  const { code, stderr } = await check('a.json');
  t.equal(code, 0);
  t.match(JSON.parse(stderr), { level: 40, msg: /^approvals\.rules\.0 has readOnly.*trustHints/ });
  t.match(await check('b.json'), { code: 0, stderr: '' });
});

t.test('the help of each command has a line to copy', async (t) => {
  for (const name of ['serve', 'chat', 'mcp', 'doctor', 'token', 'image', 'schema']) {
    const { code, stdout } = await runCli(t, [name, '--help']);
    t.equal(code, 0, name);
    t.match(stdout, `\nExamples:\n  $ `, name);
    t.match(stdout, `fairlead ${name}`, name);
  }
});
