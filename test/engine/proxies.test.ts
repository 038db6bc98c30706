/** nginx and Caddy as Debian has them, with the configurations of docs/tls.md word for word: only ports and the files of the certificate differ. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { makeCertificate, type MadeCertificate } from '../helpers/make-certificate.js';
import { findProgram } from '../helpers/programs.js';
import { freePort, stopChild, watchExit } from '../helpers/processes.js';
import { until } from '../helpers/until.js';
import { startFront, type Fixture } from '../src/front/front-fixture.js';

t.setTimeout(240_000);

const NAME = 'ai.example.org';
const folder = await mkdtemp(join(tmpdir(), 'fl-proxies-'));
t.teardown(() => rm(folder, { recursive: true }));
const made = await makeCertificate({ folder, names: [`DNS:${NAME}`] });
const ca = await readFile(made.cert);
const page = await readFile(fileURLToPath(new URL('../../../docs/tls.md', import.meta.url)), 'utf8');

/** The block of the page in that language. */
function pasted(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'm').exec(page)?.[1];
  if (found === undefined) throw new Error(`docs/tls.md has no block ${language}`);
  return found;
}

/** Each must be there. */
function replaced(text: string, pairs: readonly [string, string][]): string {
  let result = text;
  for (const [from, to] of pairs) {
    if (!result.includes(from)) throw new Error(`the page does not say ${from}`);
    result = result.replaceAll(from, to);
  }
  return result;
}

interface Proxy {
  port: number;
  plainPort: number;
  fixture: Fixture;
}

type Start = (of: Omit<Proxy, 'fixture'> & { to: number; certificate: MadeCertificate; dir: string }) => Promise<{
  command: string;
  args: string[];
}>;

const startNginx: Start = async ({ port, plainPort, to, certificate, dir }) => {
  const site = replaced(pasted('nginx'), [
    ['listen 443 ssl;', `listen ${port} ssl;`],
    ['listen [::]:443 ssl;', `listen [::]:${port} ssl;`],
    ['listen 80;', `listen ${plainPort};`],
    ['listen [::]:80;', `listen [::]:${plainPort};`],
    ['127.0.0.1:3000', `127.0.0.1:${to}`],
    ['/etc/letsencrypt/live/ai.example.org/fullchain.pem', certificate.cert],
    ['/etc/letsencrypt/live/ai.example.org/privkey.pem', certificate.key],
  ]);
  await writeFile(join(dir, 'site'), site);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (each) => `${each}_temp_path ${dir}/${each};`,
  );
  await writeFile(
    join(dir, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;' : ''} pid ${dir}/pid; error_log stderr; daemon off; worker_processes 1; events { worker_connections 512; }
     http { access_log off; ${temporary.join(' ')} include ${dir}/site; }`,
  );
  const command = findProgram('nginx') ?? 'nginx';
  const args = ['-e', 'stderr', '-c', join(dir, 'nginx.conf')];
  const check = spawn(command, [...args, '-t'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  check.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const { code } = await watchExit(check);
  if (code !== 0 || /warn|emerg/.test(said)) throw new Error(`nginx -t: ${said}`);
  return { command, args };
};

const startCaddy: Start = async ({ port, plainPort, to, certificate, dir }) => {
  const site = replaced(pasted('caddyfile'), [
    ['127.0.0.1:3000', `127.0.0.1:${to}`],
    // What Caddy would get by itself.
    [`${NAME} {\n`, `${NAME} {\n\ttls ${certificate.cert} ${certificate.key}\n`],
  ]);
  const ports = `{\n\tadmin off\n\thttp_port ${plainPort}\n\thttps_port ${port}\n}\n`;
  await writeFile(join(dir, 'Caddyfile'), ports + site);
  return {
    command: findProgram('caddy') ?? 'caddy',
    args: ['run', '--config', join(dir, 'Caddyfile'), '--adapter', 'caddyfile'],
  };
};

async function startProxy(t: Test, name: string, start: Start): Promise<Proxy> {
  const fixture = await startFront({
    tokens: { ann: 'token-a' },
    listen: { hosts: [NAME], trustedProxies: ['127.0.0.1', '::1'] },
    limits: { perAddress: { pendingSockets: 8, requestsPerSecond: 1, openRequests: 32 } },
    metrics: { tokenSha256: '' },
  });
  t.teardown(() => fixture.close());
  const dir = join(folder, name);
  await mkdir(dir);
  const [port, plainPort] = [await freePort(), await freePort()];
  const { command, args } = await start({ port, plainPort, to: fixture.port, certificate: made, dir });
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
  });
  const exited = watchExit(child);
  t.teardown(() => stopChild(child, exited));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-10_000)));
  const proxy = { port, plainPort, fixture };
  const answers = async (): Promise<boolean> =>
    (await ask(proxy, '/healthz').catch(() => ({ status: 0 }))).status === 200;
  await until(`${name} answers`, answers, { timeoutMs: 60_000, tell: () => said });
  return proxy;
}

/** Every name is this machine. */
const lookup: LookupFunction = (_name, options, done) => {
  const address = '127.0.0.1';
  if (options.all) done(null, [{ address, family: isIP(address) }]);
  else done(null, address, isIP(address));
};

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** The client's own address. */
  from?: string;
  onData?: (text: string) => void;
}

function ask({ port }: Proxy, path: string, { method = 'GET', headers = {}, body, from, onData }: Asked = {}) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asked = request(
      { host: NAME, port, path, method, headers, ca, lookup, agent: false, ...(from && { localAddress: from }) },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          onData?.(text);
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text })).on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

/** A body with a text of so many bytes. */
function body(bytes: number): string {
  return JSON.stringify({ text: 'x'.repeat(bytes) });
}

/** Of a log-in that fails, from that address. */
async function statusFrom(proxy: Proxy, from: string, claimed: string): Promise<number> {
  const headers = { authorization: 'Bearer wrong', 'x-forwarded-for': claimed };
  return (await ask(proxy, '/v1/sessions', { from, headers })).status;
}

const ANN = { authorization: 'Bearer token-a' };
const JSON_TYPE = { 'content-type': 'application/json' };

for (const [name, start] of [
  ['nginx', startNginx],
  ['caddy', startCaddy],
] as const) {
  t.test(`${name}, as the page has it`, async (t) => {
    const proxy = await startProxy(t, name, start);
    const { fixture } = proxy;

    await t.test('passes WebSockets on, also from a page of its name, and frames as large as the limit', async (t) => {
      const origin = `https://${NAME}:${proxy.port}`;
      const socket = new WebSocket(`wss://${NAME}:${proxy.port}/v1/ws`, ['fairlead.v1'], {
        ca,
        lookup,
        headers: ANN,
        origin,
      });
      t.teardown(() => socket.terminate());
      const frames: { type: string }[] = [];
      socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as { type: string }));
      await once(socket, 'open');
      const seen = (type: string) =>
        until(type, async () => frames.some((frame) => frame.type === type), { timeoutMs: 30_000 });
      await seen('session:ready');
      socket.send(JSON.stringify({ type: 'message', id: 'a', text: 'x'.repeat(1_000_000) }));
      await seen('turn:end');
      const foreign = new WebSocket(`wss://${NAME}:${proxy.port}/v1/ws`, ['fairlead.v1'], {
        ca,
        lookup,
        headers: ANN,
        origin: 'https://evil.example',
      });
      const [, answer] = (await once(foreign, 'unexpected-response')) as [unknown, { statusCode: number }];
      t.equal(answer.statusCode, 403);
      foreign.on('error', () => undefined).terminate();
    });

    await t.test('gives each event of a stream as it comes', async (t) => {
      const { text } = await ask(proxy, '/v1/sessions', { method: 'POST', headers: ANN });
      const { session } = JSON.parse(text) as { session: string };
      fixture.agent.onMessage = () => undefined; // the turn goes on until the stream has shown its beginning
      let began = false;
      const streamed = await ask(proxy, `/v1/sessions/${session}/messages`, {
        method: 'POST',
        headers: { ...ANN, ...JSON_TYPE, accept: 'text/event-stream' },
        body: JSON.stringify({ text: 'hello' }),
        onData: (so) => {
          if (began || !so.includes('turn:start')) return;
          began = true;
          fixture.agent.finish(session, 1, 'the end');
        },
      });
      t.equal(streamed.status, 200);
      t.match(streamed.text, /turn:start[^]*the end[^]*turn:end/);
    });

    await t.test('takes a body up to the limit of the server, and beyond it the server’s own refusal', async (t) => {
      const { text } = await ask(proxy, '/v1/sessions', { method: 'POST', headers: ANN });
      const { session } = JSON.parse(text) as { session: string };
      fixture.agent.onMessage = (of, turn) => fixture.agent.finish(of, turn, 'hello');
      const path = `/v1/sessions/${session}/messages`;
      const headers = { ...ANN, ...JSON_TYPE };
      t.equal((await ask(proxy, path, { method: 'POST', headers, body: body(1_000_000) })).status, 200);
      const refused = await ask(proxy, path, { method: 'POST', headers, body: body(1_100_000) });
      t.equal(refused.status, 413);
      t.match(refused.text, /ERR_TOO_LARGE/);
    });

    await t.test('tells the client’s own address, which what the client claims does not change', async (t) => {
      let count = 0;
      while ((await statusFrom(proxy, '127.0.0.2', `203.0.113.${count % 256}`)) !== 429) count++;
      t.equal(await statusFrom(proxy, '127.0.0.3', '127.0.0.2'), 401, 'another client is not limited');
    });

    await t.test('keeps /metrics inside, and leads plain HTTP to TLS', async (t) => {
      t.equal((await ask(proxy, '/metrics')).status, 404);
      const asked = requestPlain({
        port: proxy.plainPort,
        path: '/v1/sessions',
        headers: { host: NAME },
        lookup,
      }).end();
      const [plain] = (await once(asked, 'response')) as [IncomingMessage];
      plain.resume();
      t.ok([301, 308].includes(plain.statusCode ?? 0), String(plain.statusCode));
      t.match(plain.headers.location, `https://${NAME}`);
    });
  });
}
