import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { serverNoteFile, writeServerNote } from '../../../src/boot/server-note.js';
import { localUrl } from '../../../src/cli/local-url.js';
import { startEngine } from '../../helpers/engine.js';
import { runCli } from './spawn-cli.js';

function world(t: Test, config: string): { env: NodeJS.ProcessEnv; dir: string } {
  const dir = t.testdir();
  const file = join(dir, 'fairlead.json');
  writeFileSync(file, config);
  return { dir, env: { FAIRLEAD_CONFIG: file, FAIRLEAD_DATA: dir } };
}

t.test('a command asks the address at which `serve` would listen here', async (t) => {
  const { env } = world(t, '{"listen": {"port": 38151}}');
  t.same(localUrl(env), { url: 'http://127.0.0.1:38151', isGuess: false });
  t.same(localUrl({ ...env, PORT: '38152', HOST: '::1' }), { url: 'http://[::1]:38152', isGuess: false });
  const bare = t.testdir();
  t.same(localUrl({}, bare), { url: 'http://127.0.0.1:3000', isGuess: false });
});

t.test('a server at any port, and one whose file is being edited, are found by the data folder', async (t) => {
  for (const [config, isGuess] of [
    ['{"listen": {"port": 0}}', false],
    ['{"listen": {"po', true],
    ['{"listen": {"port": "x"}}', true],
  ] as const) {
    const { env, dir } = world(t, config);
    t.same(localUrl(env), { url: 'http://127.0.0.1:3000', isGuess }, 'before any has run');
    writeServerNote(dir, 'http://127.0.0.1:41234');
    t.same(localUrl(env), { url: 'http://127.0.0.1:41234', isGuess });
    const { pid } = spawnSync(process.execPath, ['--version']);
    writeFileSync(serverNoteFile(dir), JSON.stringify({ pid, url: 'http://127.0.0.1:41234' }));
    t.same(localUrl(env), { url: 'http://127.0.0.1:3000', isGuess }, 'it has ended');
    writeFileSync(serverNoteFile(dir), '{"pid": 1');
    t.same(localUrl(env), { url: 'http://127.0.0.1:3000', isGuess }, 'the note is damaged');
  }
});

t.test(
  'commands without an address reach the server of this configuration, also while the file is half written',
  async (t) => {
    const engine = await startEngine({
      config: { sandbox: { driver: 'process' }, mcpServers: {} },
      env: { DOCKER_HOST: '' },
    });
    t.teardown(() => engine.stop());
    const env = { FAIRLEAD_CONFIG: engine.configPath, FAIRLEAD_DATA: engine.dataDir };
    for (const args of [['reload'], ['admin', 'sessions', 'list'], ['usage'], ['mcp', 'list'], ['status']]) {
      const { code, stderr } = await runCli(t, args, { env });
      t.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    }
    writeFileSync(engine.configPath, '{"listen": ');
    const status = await runCli(t, ['status'], { env });
    t.match(status.stdout, /is ready .*✗ the configuration has problems/s);
    t.match(
      await runCli(t, ['reload'], { env }),
      { code: 1, stderr: /fairlead\.json/ },
      'the server says what is wrong',
    );
  },
);
