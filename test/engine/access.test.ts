/** Who gets in: the token of the first start, the mode none, and requests that a proxy passes on; whole processes. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { CLI, EngineStartError, startEngine, type Engine } from '../helpers/engine.js';
import { stopChild, watchExit, within } from '../helpers/processes.js';
import { connect } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const NO_DOCKER = { DOCKER_HOST: '' };
const PROCESS = { driver: 'process' };

async function statusOf(engine: Engine, headers: Record<string, string>, path = '/v1/sessions'): Promise<number> {
  const answer = await fetch(engine.url + path, { headers });
  await answer.text();
  return answer.status;
}

/** The status that refuses an upgrade, or 101. */
function upgradeStatus(engine: Engine, headers: Record<string, string>): Promise<number> {
  const socket = new WebSocket(engine.wsUrl, { headers });
  return new Promise((resolve, reject) => {
    socket.on('open', () => resolve(101));
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    socket.on('error', reject);
  }).then((status) => {
    socket.on('error', () => undefined); // it is ended before it has opened
    socket.terminate();
    return status as number;
  });
}

t.test('the first start makes a token, without which nobody gets in, and which no log shows', async (t) => {
  const engine = await startEngine({ config: { auth: {}, sandbox: PROCESS }, env: NO_DOCKER });
  t.teardown(() => engine.stop());
  const token = await engine.token();
  const file = join(engine.dataDir, 'token');
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal(await statusOf(engine, {}), 401);
  t.equal((await (await connect(engine.wsUrl)).closed).code, 4401);
  const client = await connect(engine.wsUrl, { token });
  t.teardown(() => client.close());
  t.match(await client.ask('hello'), { stopReason: 'end_turn' });
  const firstLogs = JSON.stringify(engine.logs);
  t.match(firstLogs, /one token, of the user local/);
  await engine.restart();
  t.equal(await engine.token(), token, 'later starts keep it');
  t.equal(await statusOf(engine, { authorization: `Bearer ${token}` }), 200);
  t.notMatch(firstLogs + JSON.stringify(engine.logs), token.slice(4));
});

/** Starts the server at a terminal, and resolves to what it has shown until it listens. `meanwhile` runs before it ends. */
async function shownAtTerminal(
  t: Test,
  folder: string,
  meanwhile: (shown: string) => Promise<void> = async () => undefined,
): Promise<string> {
  const config = join(folder, 'fairlead.json');
  writeFileSync(config, JSON.stringify({ listen: { port: 0 }, sandbox: { driver: 'process', pool: { min: 0 } } }));
  const env = { PATH: process.env['PATH'] ?? '', TERM: 'dumb', DOCKER_HOST: '', FAIRLEAD_CONFIG: config };
  // util-linux's script: the command has a terminal, and gets its end with it.
  const child = spawn('script', ['-qefc', `exec ${process.execPath} ${CLI} serve`, '/dev/null'], {
    cwd: folder,
    env: { ...env, FAIRLEAD_DATA: join(folder, 'data') },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = watchExit(child);
  t.teardown(() => stopChild(child, exited));
  let shown = '';
  const listening = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      shown += chunk;
      if (shown.includes('listening on')) resolve();
    });
  });
  await within(listening, 60_000, () => `it does not listen:\n${shown}`);
  await meanwhile(shown);
  child.stdin.write('\u0003'); // Ctrl-C
  await within(exited, 60_000, () => `it does not end:\n${shown}`);
  return shown;
}

t.test('at a terminal the first start shows the token, and later ones do not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fl-terminal-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const first = await shownAtTerminal(t, folder);
  const token = readFileSync(join(folder, 'data', 'token'), 'utf8').trim();
  t.equal(first.split(token).length - 1, 1, 'once');
  t.match(first, /auth .*one token, of the user local/);
  const second = await shownAtTerminal(t, folder);
  t.match(second, /auth .*one token, of the user local/);
  t.notMatch(second, token);
});

function linkIn(shown: string): URL {
  return new URL(/http:\S+\/#once=[\w-]{32}/.exec(shown)?.[0] ?? 'none:');
}

/** As the page of the link does. */
async function use({ origin, hash }: URL): Promise<Response> {
  const headers = { origin, 'content-type': 'application/json' };
  const body = JSON.stringify({ code: hash.replace('#once=', '') });
  const answer = await fetch(`${origin}/v1/login`, { method: 'POST', headers, body });
  await answer.text();
  return answer;
}

t.test('at a terminal each start shows another link, which logs a browser in as the owner once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fl-terminal-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  let old = new URL('none:');
  await shownAtTerminal(t, folder, async (shown) => {
    old = linkIn(shown);
    const answer = await use(old);
    t.equal(answer.status, 200);
    const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? '';
    const page = await fetch(`${old.origin}/auth`, { headers: { cookie } });
    t.match(await page.text(), /logged in as <strong>local<\/strong> \(admin\)/);
    t.equal((await use(old)).status, 401);
  });
  await shownAtTerminal(t, folder, async (shown) => {
    const link = linkIn(shown);
    t.not(link.hash, old.hash);
    old.host = link.host;
    t.equal((await use(old)).status, 401, 'a restart voids it');
    t.equal((await fetch(link, { headers: { accept: 'text/html' } })).status, 200, 'the console');
  });
});

t.test('chat, mcp and doctor on the same machine take the token from the data folder', async (t) => {
  const engine = await startEngine({ config: { auth: {}, sandbox: PROCESS }, env: NO_DOCKER });
  t.teardown(() => engine.stop());
  const env = { FAIRLEAD_DATA: engine.dataDir };
  const chat = await runCli(t, ['chat', engine.url], { env, stdin: 'hello\n' });
  t.equal(chat.code, 0, chat.stderr);
  t.equal((await runCli(t, ['mcp', 'list', '--json', '--url', engine.url], { env })).code, 0);
  const port = new URL(engine.url).port;
  const doctor = await runCli(t, ['doctor'], { env: { ...env, PORT: port } });
  t.match(doctor.stdout, /✓ auth +the token in /);
  const elsewhere = await runCli(t, ['chat', engine.url], { stdin: 'hello\n' });
  t.equal(elsewhere.code, 1);
  t.match(elsewhere.stderr, /FAIRLEAD_DATA/);
  chmodSync(join(engine.dataDir, 'token'), 0o644);
  const open = await runCli(t, ['chat', engine.url], { env, stdin: 'hello\n' });
  t.equal(open.code, 1);
  t.match(open.stderr, /0644.*remove it/);
  t.match((await runCli(t, ['doctor'], { env: { ...env, PORT: port } })).stdout, /✗ auth .*0644/);
});

t.test('a token that is damaged or open to others ends the start, and is left as it is', async (t) => {
  const engine = await startEngine({ config: { auth: {}, sandbox: PROCESS }, env: NO_DOCKER });
  t.teardown(() => engine.stop());
  const file = join(engine.dataDir, 'token');
  chmodSync(file, 0o640);
  await t.rejects(engine.restart(), { exit: { code: 1 }, message: /mode 0640/ });
  chmodSync(file, 0o600);
  writeFileSync(file, 'flt_half');
  const failure: unknown = await engine.start().catch((error: unknown) => error);
  t.type(failure, EngineStartError);
  t.match(failure, { exit: { code: 1 }, message: /damaged/ });
  t.equal(readFileSync(file, 'utf8'), 'flt_half');
});

for (const [name, config, reason] of [
  ['without isolation', { auth: {}, sandbox: PROCESS }, /Docker/],
  ['with the mode none', { auth: { mode: 'none' }, sandbox: PROCESS }, /auth\.mode/],
] as const) {
  t.test(`${name} no request gets in that a proxy passes on, whatever its path, token and Host`, async (t) => {
    const engine = await startEngine({ config, env: NO_DOCKER });
    t.teardown(() => engine.stop());
    const own: Record<string, string> =
      'mode' in config.auth ? {} : { authorization: `Bearer ${await engine.token()}` };
    t.equal(await statusOf(engine, own), 200);
    t.equal(await upgradeStatus(engine, own), 101);
    for (const header of ['X-Forwarded-For', 'X-Forwarded-Proto', 'Forwarded', 'Via', 'X-Real-IP']) {
      const headers = { ...own, [header]: '192.0.2.7' };
      t.equal(await upgradeStatus(engine, headers), 403, header);
      for (const path of ['/v1/sessions', '/healthz', '/metrics', '/nowhere', '/mcp']) {
        const answer = await fetch(engine.url + path, { headers });
        t.equal(answer.status, 403, `${header} ${path}`);
        const problem = (await answer.json()) as { code: string; detail: string };
        t.equal(problem.code, 'ERR_FORBIDDEN_PROXY');
        t.match(problem.detail, reason);
      }
    }
  });
}

t.test('tokens, a public address and the mode none leave no sandbox without isolation', async (t) => {
  const tokens = [{ user: 'ada', sha256: '0'.repeat(64) }];
  for (const [config, code, said] of [
    [{ auth: { tokens }, sandbox: PROCESS }, 78, /sandbox\.driver/],
    [{ auth: {}, mcp: { publicUrl: 'https://ai.example.org' }, sandbox: PROCESS }, 78, /sandbox\.driver/],
    [{ auth: { mode: 'none', tokens } }, 78, /auth\.mode/],
  ] as const) {
    await t.rejects(startEngine({ config, env: NO_DOCKER }), { exit: { code }, message: said });
  }
});

t.test('a refused Origin leaves a line in the log, for a request and for a WebSocket', async (t) => {
  const engine = await startEngine({ config: { auth: {}, sandbox: PROCESS }, env: NO_DOCKER });
  t.teardown(() => engine.stop());
  const headers = { origin: 'https://evil.example' };
  t.equal((await fetch(`${engine.url}/v1/sessions`, { headers })).status, 403);
  t.equal(await upgradeStatus(engine, headers), 403);
  for (const path of ['/v1/sessions', '/v1/ws']) {
    const line = await engine.waitForLog((each) => each['path'] === path);
    t.match(line, {
      level: 40,
      code: 'ERR_FORBIDDEN_ORIGIN',
      address: String,
      msg: /refused: .*https:\/\/evil\.example/,
    });
  }
});
