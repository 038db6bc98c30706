import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { parseConfig } from '../src/shared/config.js';
import { hashToken } from '../src/shared/token-file.js';
import { docker, dockerHost, WORKSPACE_IMAGE } from './helpers/docker.js';
import { startEngine, type Engine } from './helpers/engine.js';
import { startModelServer, text, tool } from './helpers/model-server.js';
import { freePort, stopChild, watchExit, within } from './helpers/processes.js';
import { findProgram, findPython } from './helpers/programs.js';
import { startRedis } from './helpers/redis.js';
import { connect } from './helpers/ws-client.js';

/** From dist/test. */
const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const WAIT_MS = 60_000;

t.setTimeout(240_000); // whole processes, on a machine that may be busy

/** The demo model and tools as child processes: what a first start without Redis and Docker has. */
async function startDemo(t: Test, config: Record<string, unknown> = {}): Promise<Engine> {
  const engine = await startEngine({
    config: { auth: {}, sandbox: { driver: 'process' }, ...config },
    env: { DOCKER_HOST: '' },
  });
  t.teardown(() => engine.stop());
  return engine;
}

interface Client {
  /** Resolves as soon as it has printed this. */
  prints(pattern: RegExp): Promise<void>;
  type(line: string): void;
  /** Resolves to its exit code. */
  ended(): Promise<number | null>;
}

async function startClient(t: Test, command: string, file: string, engine: Engine): Promise<Client> {
  const child = spawn(command, [join(EXAMPLES, file), 'List all files in /workspace'], {
    env: { ...process.env, FAIRLEAD_URL: engine.wsUrl, FAIRLEAD_TOKEN: await engine.token() },
    stdio: 'pipe',
  });
  const exited = watchExit(child);
  t.teardown(() => stopChild(child, exited));
  let printed = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      printed += chunk;
      for (const look of watchers) look();
    });
  }
  return {
    prints: (pattern) => {
      const found = new Promise<void>((resolve) => {
        const look = (): void => {
          if (pattern.test(printed)) resolve();
        };
        watchers.add(look);
        look();
      });
      return within(found, WAIT_MS, () => `${file} did not print ${String(pattern)}, but:\n${printed}`);
    },
    type: (line) => void child.stdin.write(`${line}\n`),
    ended: async () => (await within(exited, WAIT_MS, () => `${file} did not end:\n${printed}`)).code,
  };
}

for (const [command, file] of [
  [process.execPath, 'client.mjs'],
  [process.execPath, 'websocket-client.mjs'],
  [findPython() ?? 'python3', 'websocket_client.py'],
  [findPython() ?? 'python3', 'python/resuming_client.py'],
] as const) {
  void t.test(`${file} asks before the tool runs and prints the answer`, async (t) => {
    const client = await startClient(t, command, file, await startDemo(t));
    await client.prints(/list_files .*allow\? \[y\/n\] $/);
    client.type('y');
    await client.prints(/\[the tool is done\]\n(.*\n)*.*the workspace is empty/);
    t.equal(await client.ended(), 0);
  });

  void t.test(`${file} finishes its turn when the server dies while the user thinks`, async (t) => {
    // A port by number: one that the system chose cannot be listened on again while the killed server's sockets linger.
    const engine = await startDemo(t, { listen: { port: await freePort() } });
    const client = await startClient(t, command, file, engine);
    await client.prints(/allow\? \[y\/n\] $/);
    await engine.restart({ signal: 'SIGKILL', samePort: true });
    client.type('n');
    await client.prints(/denied|declined|not/i);
    t.equal(await client.ended(), 0);
  });
}

t.test('browser.html talks from an allowed origin, with its token as a subprotocol', async (t) => {
  const page = await readFile(join(EXAMPLES, 'browser.html'));
  const files = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(page));
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  t.teardown(() => files.close());
  const origin = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
  const engine = await startDemo(t, { listen: { port: 0, origins: [origin] } });
  const executablePath = findProgram('chromium');
  if (executablePath === undefined) throw new Error('the test needs chromium');
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  });
  t.teardown(() => browser.close());
  const tab = await browser.newPage();
  tab.setDefaultTimeout(WAIT_MS);
  await tab.goto(`${origin}/browser.html`);
  await tab.fill('#url', engine.wsUrl);
  await tab.fill('#token', await engine.token());
  await tab.click('text=Connect');
  await tab.waitForSelector('text=/connected, session/');
  await tab.fill('#text', 'List all files in /workspace');
  await tab.click('text=Send');
  await tab.click('text=Allow');
  await tab.waitForSelector('text=/turn 1 is over: end_turn/');
  t.match(await tab.textContent('#log'), /I will use list_files\..*the workspace is empty/s);
  t.equal(await tab.textContent('#calls'), '', 'the question is gone');
});

t.test('the MCP server of mcp-server-image runs in a sandbox', async (t) => {
  const tag = `fairlead-test-dice:${process.pid}`;
  const folder = join(EXAMPLES, 'mcp-server-image');
  const said = await buffer(
    await docker().buildImage(
      { context: folder, src: ['Dockerfile', 'server.mjs'] },
      { t: tag, buildargs: { BASE: WORKSPACE_IMAGE } },
    ),
  );
  t.notMatch(said.toString(), '"error"');
  t.teardown(() => docker().getImage(tag).remove({ force: true }));
  const model = await startModelServer();
  t.teardown(() => model.close());
  const engine = await startEngine({
    config: { mcpServers: { dice: { image: tag } }, approvals: { rules: [{ server: 'dice', action: 'allow' }] } },
    env: { DOCKER_HOST: dockerHost(), ANTHROPIC_API_KEY: 'sk-test-key', ANTHROPIC_BASE_URL: model.url },
  });
  t.teardown(() => engine.stop());
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue(tool('roll_dice', { count: 3 }), text('rolled'));
  t.match(await client.ask('roll three dice'), { stopReason: 'end_turn' });
  const { ok, content } = await client.waitFor('tool:result', { from: 0 });
  t.equal(ok, true);
  t.match(JSON.stringify(content), /rolled [1-6], [1-6], [1-6]/);
});

interface Compose {
  services: Record<
    string,
    { command: string[]; environment?: Record<string, string>; volumes: string[]; ports?: string[] }
  >;
  configs: { fairlead: { content: string } };
  volumes: Record<string, null>;
}

// `docker compose` itself needs a registry, so it is not run here.
t.test('compose.yaml has a configuration that the server takes, and a Redis that keeps what it confirms', async (t) => {
  const compose = parse(await readFile(join(EXAMPLES, 'compose.yaml'), 'utf8')) as Compose;
  const { fairlead, redis } = compose.services;
  if (!fairlead || !redis) throw new Error('both services are there');
  const set = { FAIRLEAD_TOKEN_SHA256: hashToken('flt_example'), ANTHROPIC_API_KEY: '' };
  const filled = (text: string): string =>
    text.replace(/\$\{(\w+)[^}]*\}/g, (_all, name) => set[name as keyof typeof set]);
  const env = Object.fromEntries(
    Object.entries(fairlead.environment ?? {}).map(([key, value]) => [key, filled(value)]),
  );
  const documented = await readFile(join(EXAMPLES, '../docs/configuration.md'), 'utf8');
  for (const name of Object.keys(env)) t.match(documented, `\`${name}\``, name);
  const config = parseConfig(JSON.parse(filled(compose.configs.fairlead.content)), env);
  t.match(config, { listen: { host: '0.0.0.0', port: 3000 }, store: { redisUrl: 'redis://redis:6379' } });
  t.same(fairlead.ports, ['127.0.0.1:3000:3000']);
  const mounts = new Map(
    [...fairlead.volumes, ...redis.volumes].map((volume) => volume.split(':').toReversed() as [string, string]),
  );
  t.equal(mounts.get(config.dataDir), 'data');
  t.equal(mounts.get(config.dockerHost.replace('unix://', '')), '/var/run/docker.sock');
  t.ok(['data', 'redis'].every((name) => name in compose.volumes));

  const [program, ...args] = redis.command;
  t.equal(program, 'redis-server');
  const server = await startRedis({ args });
  t.teardown(() => server.stop());
  const client = await createClient({ url: server.url }).connect();
  t.teardown(() => client.destroy());
  t.match(await client.configGet(['appendonly', 'maxmemory-policy']), {
    appendonly: 'yes',
    'maxmemory-policy': 'noeviction',
  });
});
