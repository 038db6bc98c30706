/** The tarball of `npm pack`, installed into an empty folder as `npx fairlead` does. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { run as runLong } from '../../release/run.js';
import { VERSION } from '../../src/shared/version.js';
import { docker } from '../helpers/docker.js';
import { pack } from '../helpers/packed.js';
import { startStack } from '../helpers/stack.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(900_000); // npm compiles an addon, on a machine that may be busy

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'fl-package-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const { tarball, files } = await pack(folder);
const empty = join(folder, 'empty');
await mkdir(empty);
await runLong('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], { cwd: empty });
const CLI = join(empty, 'node_modules/fairlead/dist/src/cli.js');

/** In the empty folder, with nothing of this machine's environment but PATH and Docker. */
const env = { PATH: process.env['PATH'] ?? '', HOME: folder, DOCKER_HOST: process.env['DOCKER_HOST'] ?? '' };
const fairlead = async (...args: string[]): Promise<string> =>
  (await run('npx', ['--no-install', 'fairlead', ...args], { cwd: empty, env })).stdout;

t.test(
  'it holds what runs and what is read, the types of the client, and no tests, benches, sources or source maps',
  async (t) => {
    const kinds =
      /^(?:dist\/(?:src|workers|console|image|man|completion)|docs|systemd)\/|^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/;
    const others = files.filter((path) => !kinds.test(path)).sort();
    t.same(others, ['fairlead.schema.json', 'workers/workspace/Dockerfile', 'workers/workspace/inventory.sh']);
    t.same(
      files.filter((path) => /(?<!\.d)\.ts$|\.map$|\.test\.|tsbuildinfo/.test(path)),
      [],
    );
    for (const needed of [
      'dist/man/fairlead.1',
      'dist/completion/fairlead.bash',
      'dist/console/docs.html.br',
      'dist/console/index.html.br',
      'dist/src/cli.js',
      'dist/src/client/index.js',
      'dist/src/client/index.d.ts',
      'dist/src/client/node.js',
      'dist/workers/agent/index.js',
      'LICENSE',
      'systemd/fairlead.service',
    ]) {
      t.ok(files.includes(needed), needed);
    }
  },
);

t.test('npx fairlead prints its help and version, and checks a configuration, in an empty folder', async (t) => {
  t.equal(await fairlead('--version'), `${VERSION}\n`);
  t.match(await fairlead('--help'), /fairlead serve/);
  t.equal(JSON.parse(await fairlead('schema')).$schema, 'https://json-schema.org/draft/2020-12/schema');
  await writeFile(join(folder, 'wrong.json'), '{ "lisen": {} }');
  const wrong = run(process.execPath, [CLI, 'serve', '--check-config'], {
    cwd: empty,
    env: { ...env, FAIRLEAD_CONFIG: join(folder, 'wrong.json') },
  });
  await t.rejects(wrong, { code: 78, stderr: /lisen/ });
  await fairlead('serve', '--check-config');
});

t.test('a program beside it imports the client library, and the WebSocket of Node 20 is there', async (t) => {
  const script = `import { Fairlead } from 'fairlead/client';
    const session = new Fairlead({ url: 'http://127.0.0.1:9' }).open();
    for await (const event of session) { console.log(event.type, event.why); break; }
    await session.close();`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: empty, env });
  t.equal(stdout, 'connection:reconnecting ECONNREFUSED\n');
});

t.test('the doctor finds that the addons load', async (t) => {
  const said = await fairlead('doctor', '--json').catch((error: { stdout: string }) => error.stdout);
  const { checks } = JSON.parse(said) as { checks: { name: string; detail: string }[] };
  for (const name of ['uWebSockets', 'lmdb', 'lz4']) {
    t.equal(checks.find((check) => check.name === name)?.detail, 'loads', name);
  }
});

t.test('it builds the sandbox image, and its server runs a tool in a container of it', async (t) => {
  const tag = `fairlead/workspace:test-${randomBytes(6).toString('hex')}`;
  t.teardown(() => docker().getImage(tag).remove({ force: true }));
  t.match(await fairlead('image', '--local', '--tag', tag), /workspace server bundled: workspace\.cjs/);
  const stack = await startStack({
    program: [process.execPath, CLI],
    config: { mcpServers: { workspace: { image: tag } } },
  });
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  client.say('List all files in /workspace', 'first');
  const asked = await client.waitFor('tool:approval_required');
  client.approve(asked.callId);
  t.match(await client.waitFor('tool:result', { timeoutMs: 60_000 }), { callId: asked.callId, ok: true });
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
});
