import t from 'tap';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker, dockerHost } from '../helpers/docker.js';
import { CLI, EngineStartError, startEngine, type EngineOptions } from '../helpers/engine.js';
import { startModelServer } from '../helpers/model-server.js';
import { eachLine, freePort, watchExit } from '../helpers/processes.js';
import { makeTinyImage, tinyServer } from '../helpers/tiny-image.js';
import { until } from '../helpers/until.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

/** How the program explains a start that fails: its exit code and the last words. */
async function refusedStart(options: EngineOptions): Promise<{ code: number | null; said: string }> {
  try {
    const engine = await startEngine(options);
    await engine.stop();
  } catch (error) {
    if (!(error instanceof EngineStartError)) throw error;
    return { code: error.exit.code, said: error.logs.map((line) => line.msg).join('\n') };
  }
  throw new Error('it started');
}

async function readyz(url: string): Promise<unknown> {
  return (await fetch(`${url}/readyz`)).json();
}

const process_ = { sandbox: { driver: 'process' } };

t.test('with nothing configured it serves on the embedded defaults and says so', async (t) => {
  const engine = await startEngine({ env: { DOCKER_HOST: '' }, config: process_ });
  t.teardown(() => engine.stop());
  t.match(engine.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const parts = await engine.waitForLog((line) => line.msg === 'parts');
  t.match(parts, { store: /LMDB/, sandbox: /process/, model: /demo/ });
  t.ok(
    engine.logs.some((line) => line.level === 40 && /child processes/.test(line.msg)),
    'a warning about the sandbox',
  );
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  client.say('List all files in /workspace');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  t.match(await client.waitFor('tool:result'), { ok: true });
  t.match(await client.turnEnd(), { stopReason: 'end_turn', model: 'demo' });
});

t.test('every problem of a configuration is told at once, with its path', async (t) => {
  const { code, said } = await refusedStart({
    config: { listen: { port: 99999 }, limits: { maxInFlight: 0 }, colour: 'red' },
    env: { LOG_LEVEL: 'loud' },
  });
  t.equal(code, 78);
  for (const path of ['listen.port', 'limits.maxInFlight', 'colour', 'LOG_LEVEL']) t.match(said, path);
});

t.test('beyond loopback without auth is refused', async (t) => {
  const { code, said } = await refusedStart({ config: { ...process_, auth: {} }, env: { HOST: '0.0.0.0' } });
  t.equal(code, 78);
  t.match(said, 'fairlead token');
});

t.test('a limit of open files that is too low is a warning with both numbers, and the server starts', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-files-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const child = spawn('sh', ['-c', 'ulimit -n 4096 && exec "$0" "$@"', process.execPath, CLI, 'serve'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', PORT: '0', FAIRLEAD_DATA: join(folder, 'data') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = watchExit(child);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const lines: { level: number; msg: string }[] = [];
  await new Promise<void>((resolve) => {
    eachLine(child.stdout, (text) => {
      const line = JSON.parse(text) as { level: number; msg: string };
      lines.push(line);
      if (/listening on/.test(line.msg)) resolve();
    });
  });
  const warning = lines.find(({ msg }) => msg.includes('open 4096 files'));
  t.match(warning, { level: 40, msg: /65536 are wanted.*LimitNOFILE/ });
});

t.test('a port in use is an error that names it', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => void other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as AddressInfo;
  const { code, said } = await refusedStart({ config: process_, env: { PORT: String(port) } });
  t.equal(code, 1);
  t.match(said, String(port));
});

t.test('a model that is away or refuses the key makes the server wait, and /readyz says for what', async (t) => {
  const port = await freePort();
  const env = { DOCKER_HOST: '', ANTHROPIC_API_KEY: 'sk-secret', ANTHROPIC_BASE_URL: `http://127.0.0.1:${port}` };
  const engine = await startEngine({ config: process_, env });
  t.teardown(() => engine.stop());
  t.match(await readyz(engine.url), {
    ready: false,
    reasons: [/the model at http:.* does not answer \(ECONNREFUSED\)/],
  });
  t.equal((await fetch(`${engine.url}/healthz`)).status, 200);
  const model = await startModelServer({ apiKey: 'sk-secret', port });
  t.teardown(() => model.close());
  await engine.waitForReadiness(200);

  const other = await startModelServer({ apiKey: 'another' });
  t.teardown(() => other.close());
  const refused = await startEngine({ config: process_, env: { ...env, ANTHROPIC_BASE_URL: other.url } });
  t.teardown(() => refused.stop());
  t.match(await readyz(refused.url), { ready: false, reasons: [/refuses the key \(401\)/] });
  const { level } = await refused.waitForLog(({ msg }) => /ANTHROPIC_API_KEY/.test(msg));
  t.equal(level, 50);
  t.notMatch(JSON.stringify([...refused.logs, ...engine.logs]), 'sk-secret');
});

t.test(
  'bad images do not keep the others from serving, are told with their reason, and are taken in when they are good',
  async (t) => {
    const late = `fairlead-test-late:${process.pid}`;
    const exits = await makeTinyImage(String.raw`printf '\033]0;owned\007\302\2332J'; echo no licence >&2; exit 7`);
    t.teardown(() => exits.remove());
    const mute = await makeTinyImage(String.raw`printf '\033]0;owned\007\302\2332J\n'; exec cat > /dev/null`);
    t.teardown(() => mute.remove());
    const good = await makeTinyImage(tinyServer(':'));
    t.teardown(() => good.remove());
    const images = { good: good.tag, exits: exits.tag, mute: mute.tag, late };
    const mcpServers = Object.fromEntries(Object.entries(images).map(([name, image]) => [name, { image }]));
    const sandbox = { driver: 'docker', startTimeoutMs: 8_000 };
    const engine = await startEngine({ env: { DOCKER_HOST: dockerHost() }, config: { mcpServers, sandbox } });
    t.teardown(() => engine.stop());
    await engine.waitForReadiness(200);
    const servers = async (): Promise<Record<string, { state: string; lastError?: string; tools: object[] }>> => {
      const answer = (await (await fetch(`${engine.url}/v1/mcp`)).json()) as {
        servers: { name: string; state: string; tools: object[] }[];
      };
      return Object.fromEntries(answer.servers.map((server) => [server.name, server]));
    };
    const bad = { state: /reconnecting|down/, lastError: 'ERR_SANDBOX', tools: [] };
    t.match(await servers(), {
      good: { state: 'healthy', tools: [{ name: 'echo' }] },
      exits: { ...bad, lastError: /exited with code 7; its stderr ends with: no licence/ },
      mute: bad,
      late: bad,
    });
    const said = engine.logs.map(({ msg }) => msg).join('\n');
    t.match(
      said,
      new RegExp(
        `mcpServers.late cannot be used, the others can: the image ${late} of late is missing: run .docker pull`,
      ),
    );
    t.match(said, /mcpServers.exits cannot be used.*exited with code 7/);
    t.match(said, /mcpServers.mute cannot be used.*its output is not MCP: \\u001b\]0;owned\\u0007\\u009b2J/);
    const [repo = '', tag = ''] = late.split(':');
    await docker().getImage(good.tag).tag({ repo, tag });
    t.teardown(() => docker().getImage(late).remove());
    await until('it is taken in', async () => (await servers())['late']?.state === 'healthy', { timeoutMs: 90_000 });
    t.match(await servers(), { late: { tools: [{ name: 'echo' }] } });
  },
);

t.test('an agent thread that dies in the middle of the boot does not take the boot with it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-start-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const NODE_OPTIONS = `--import=${new URL('threads/die-at-boot.js', import.meta.url).href}`;
  const engine = await startEngine({
    config: { ...process_, agents: { threads: 2 } },
    env: { DOCKER_HOST: '', NODE_OPTIONS, DIED_MARK: join(folder, 'died') },
  });
  t.teardown(() => engine.stop());
  await engine.waitForLog((line) => line.msg === 'agent thread serves again');
  for (let each = 0; each < 4; each++) {
    const client = await connect(engine.wsUrl);
    t.teardown(() => client.close());
    t.match(await client.ask('hello'), { stopReason: 'end_turn' }, 'whichever thread it is on');
  }
});

t.test('a second server on the same data folder is refused', async (t) => {
  const engine = await startEngine({ config: process_ });
  t.teardown(() => engine.stop());
  const { code, said } = await refusedStart({ config: process_, env: { FAIRLEAD_DATA: engine.dataDir } });
  t.equal(code, 1);
  t.match(said, 'FAIRLEAD_DATA');
});
