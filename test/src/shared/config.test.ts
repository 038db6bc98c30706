import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError, loadConfig, parseConfig } from '../../../src/shared/config.js';

/** The paths of all problems, sorted. */
function problemPaths(json: unknown, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    parseConfig(json, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path }) => path).sort();
    throw error;
  }
  return [];
}

const TOKEN = { user: 'user-1', sha256: 'a'.repeat(64) };

void t.test('an empty file and environment give the defaults', async (t) => {
  const config = parseConfig({}, {}, '/srv');
  t.match(config, {
    listen: { host: '127.0.0.1', port: 3000, drainTimeoutMs: 30_000 },
    model: { provider: 'auto', maxRounds: 50 },
    store: { redisUrl: '', eventLog: { maxEvents: 1000 } },
    approvals: { default: 'ask', timeoutMs: 600_000, rules: [] },
    limits: { maxFrameBytes: 1_048_576, maxInFlight: 5, maxSocketsPerUser: 20 },
    mcpServers: { workspace: { image: 'fairlead/workspace', scope: 'session' } },
    dataDir: '/srv/fairlead-data',
    logLevel: 'info',
    dockerHost: '',
    anthropic: { apiKey: '', baseUrl: '' },
  });
});

void t.test('the configuration is deeply frozen and can cross threads', async (t) => {
  const config = parseConfig({ approvals: { rules: [{ action: 'allow' }] } }, {});
  for (const part of [config, config.listen, config.approvals.rules, config.approvals.rules[0], config.mcpServers]) {
    t.ok(Object.isFrozen(part));
  }
  t.same(structuredClone(config), config);
});

void t.test('every problem is reported at once, each with its path', async (t) => {
  const wrong = {
    listen: { port: 70_000, hots: 'x' },
    auth: { tokens: [{ user: 'a b', sha256: 'short' }] },
    model: { provider: 'other', maxTokens: 0 },
    sandbox: { cpus: -1 },
    approvals: { rules: [{ action: 'maybe' }] },
    mcpServers: { 'bad name': { image: 'x' }, ok: { image: '' } },
    extra: true,
  };
  t.same(problemPaths(wrong, { PORT: 'http', LOG_LEVEL: 'loud' }), [
    'LOG_LEVEL',
    'PORT',
    'approvals.rules.0.action',
    'auth.tokens.0.sha256',
    'auth.tokens.0.user',
    'extra',
    'listen.hots',
    'listen.port',
    'mcpServers.bad name',
    'mcpServers.ok.image',
    'model.maxTokens',
    'model.provider',
    'sandbox.cpus',
  ]);
});

void t.test(
  'memory that full folders would use up is refused with the figures, and has a default that leaves room',
  async (t) => {
    t.equal(parseConfig({}, {}).sandbox.memoryMb, 1272);
    t.equal(parseConfig({ sandbox: { workspaceMb: 16, tmpMb: 8, shmMb: 8 } }, {}).sandbox.memoryMb, 550);
    const old = { sandbox: { memoryMb: 512 } }; // 0.2.0's own default, with its workspaceMb 512
    t.same(problemPaths(old, {}), ['sandbox.memoryMb']);
    t.throws(() => parseConfig(old, {}), {
      message: /workspaceMb 512, tmpMb 64 and shmMb 64 take 760 .* Set it to 824 or more/,
    });
    t.equal(parseConfig({ sandbox: { memoryMb: 824 } }, {}).sandbox.memoryMb, 824);
  },
);

void t.test('the environment overrides the file, and an empty variable does not', async (t) => {
  const file = { listen: { host: 'localhost', port: 1 }, store: { redisUrl: 'redis://file' } };
  const env = {
    PORT: '0',
    HOST: '::1',
    REDIS_URL: 'rediss://env:1',
    DOCKER_HOST: 'unix:///x',
    ANTHROPIC_API_KEY: 'k',
    ANTHROPIC_BASE_URL: 'http://b',
    FAIRLEAD_DATA: 'data',
    LOG_LEVEL: 'debug',
  };
  t.match(parseConfig(file, env, '/srv'), {
    listen: { host: '::1', port: 0 },
    store: { redisUrl: 'rediss://env:1' },
    dockerHost: 'unix:///x',
    anthropic: { apiKey: 'k', baseUrl: 'http://b' },
    dataDir: '/srv/data',
    logLevel: 'debug',
  });
  t.match(parseConfig(file, { PORT: '', HOST: '', REDIS_URL: '', LOG_LEVEL: '' }), {
    listen: { host: 'localhost', port: 1 },
    store: { redisUrl: 'redis://file' },
    logLevel: 'info',
  });
});

void t.test('no Docker network is taken for sandboxes, whatever its kind, and the reason is said', async (t) => {
  for (const network of ['bridge', 'host', 'container:x', 'my-net', 'none ', 'default']) {
    t.same(problemPaths({ sandbox: { network } }, {}), ['sandbox.network'], network);
  }
  t.throws(() => parseConfig({ sandbox: { network: 'bridge' } }, {}), {
    message: /has no network.*docs\/decisions\/no-network\.md/,
  });
  for (const network of ['', 'none']) t.same(problemPaths({ sandbox: { network } }, {}), [], network);
});

void t.test('PORT is a number from 0 to 65535, written as one', async (t) => {
  for (const PORT of ['-1', '65536', '1.5', '1e3', ' ', '80 ', 'x']) t.same(problemPaths({}, { PORT }), ['PORT'], PORT);
  for (const PORT of ['0', '65535']) t.same(problemPaths({}, { PORT }), [], PORT);
});

void t.test('${NAME} is replaced from the environment; a missing variable is a problem at its path', async (t) => {
  const file = { model: { system: 'I am ${WHO}, ${WHO}.' }, mcpServers: { w: { image: 'x', env: { A: '${A}' } } } };
  const config = parseConfig(file, { WHO: '$&${A}', A: '' });
  t.equal(config.model.system, 'I am $&${A}, $&${A}.', 'what comes from the environment is not expanded again');
  t.same((config.mcpServers['w'] as { env: unknown }).env, { A: '' });
  t.same(problemPaths(file), ['mcpServers.w.env.A', 'model.system', 'model.system']);
});

void t.test('servers of each kind are told apart by their key, and each is judged as its own', async (t) => {
  const allowed = { allowHostCommands: true, mcp: { allowLoopback: true } };
  const servers = {
    box: { image: 'x' },
    inside: { command: 'node', args: ['server.js'], sandbox: 'box' },
    host: { type: 'stdio', command: 'npx', env: { A: 'b' } },
    remote: { type: 'http', url: 'https://example.com/mcp', headers: { A: 'b' }, auth: { type: 'oauth' } },
    local: { url: 'http://127.0.0.1:1/mcp', tools: { deny: ['rm_*'] }, sampling: {} },
  };
  t.same(problemPaths({ ...allowed, mcpServers: servers }), []);
  t.same(problemPaths({ mcpServers: servers }), ['mcpServers.host.command', 'mcpServers.local.url']);
  t.same(
    problemPaths({
      ...allowed,
      mcpServers: {
        none: {},
        text: 'x',
        typo: { url: 'https://x', header: {} },
        ftp: { url: 'ftp://x' },
      },
    }).toSorted(),
    ['ftp.url', 'none', 'text', 'typo.header'].map((path) => `mcpServers.${path}`),
  );
  t.same(
    problemPaths({
      ...allowed,
      mcpServers: {
        plain: { url: 'http://example.com' },
        secret: { url: 'https://a:b@x' },
        nowhere: { command: 'x', sandbox: 'host' },
        alone: { command: 'x', sandbox: 'shared' },
        shared: { image: 'x', scope: 'shared' },
        keyless: { url: 'https://x', auth: { type: 'client_credentials', clientId: 'a' } },
      },
    }).toSorted(),
    ['alone.scope', 'keyless.auth', 'nowhere.sandbox', 'plain.url', 'secret.url'].map((path) => `mcpServers.${path}`),
  );
});

const oidc = (more: object): object => ({
  auth: { oidc: { issuer: 'https://login.test', audiences: ['a'], ...more } },
});

void t.test('browsers that log in reach the server by https at the root of a name, or on this machine', async (t) => {
  const at = (publicUrl: string | undefined, host = '127.0.0.1'): object => ({
    ...oidc({ clientId: 'x' }),
    listen: { host },
    ...(publicUrl !== undefined && { mcp: { publicUrl } }),
  });
  for (const url of [
    undefined,
    'https://ai.test',
    'https://ai.test:8443/',
    'http://localhost:3000',
    'http://127.0.0.1',
  ]) {
    t.same(problemPaths(at(url)), [], url ?? 'none');
  }
  t.same(problemPaths(at('https://ai.test', '0.0.0.0')), []);
  for (const url of ['http://ai.test', 'http://10.0.0.1:3000', 'https://ai.test/fairlead']) {
    t.same(problemPaths(at(url)), ['mcp.publicUrl'], url);
  }
  t.same(problemPaths(at(undefined, '0.0.0.0')), ['mcp.publicUrl']);
  t.same(problemPaths({ ...oidc({}), listen: { host: '0.0.0.0' } }), [], 'without clientId no browser logs in');
});

void t.test('an issuer is https or on this machine, and lets somebody in', async (t) => {
  t.same(problemPaths(oidc({})), []);
  for (const issuer of ['http://127.0.0.1:9', 'http://[::1]:9/x', 'http://localhost', 'https://login.test/realms/a']) {
    t.same(problemPaths(oidc({ issuer })), [], issuer);
  }
  const bad = ['http://login.test', 'http://127.0.0.1.evil.test', 'http://10.0.0.1', 'ftp://login.test', 'login.test'];
  for (const issuer of [...bad, 'https://u:p@login.test', 'https://login.test/?a', 'https://login.test/#a']) {
    t.same(problemPaths(oidc({ issuer })), ['auth.oidc.issuer'], issuer);
  }
  t.same(problemPaths(oidc({ audiences: [] })), ['auth.oidc.audiences']);
  t.same(problemPaths(oidc({ audiences: [], clientId: 'x' })), []);
  for (const algorithm of ['none', 'HS256', 'RS1', 'rs256']) {
    t.same(problemPaths(oidc({ algorithms: [algorithm] })), ['auth.oidc.algorithms.0'], algorithm);
  }
  t.same(problemPaths(oidc({ algorithms: [], clockSkewMs: 300_001 })), [
    'auth.oidc.algorithms',
    'auth.oidc.clockSkewMs',
  ]);
  t.same(problemPaths({ ...oidc({}), listen: { host: '0.0.0.0' } }), [], 'an issuer is auth enough beyond loopback');
  t.same(problemPaths({ ...oidc({}), sandbox: { driver: 'process' } }), ['sandbox.driver']);
  t.same(problemPaths({ auth: { mode: 'none', oidc: { issuer: 'https://login.test', audiences: ['a'] } } }), [
    'auth.mode',
  ]);
});

void t.test('beyond loopback there must be auth, and no sandbox that isolates nothing', async (t) => {
  t.same(problemPaths({ listen: { host: '0.0.0.0' } }), ['auth.tokens']);
  t.same(problemPaths({}, { HOST: '192.0.2.1' }), ['auth.tokens']);
  t.same(problemPaths({ listen: { host: '0.0.0.0' }, auth: { tokens: [TOKEN] } }), []);
  t.same(problemPaths({ listen: { host: '0.0.0.0' }, auth: { tokens: [TOKEN] }, sandbox: { driver: 'process' } }), [
    'sandbox.driver',
  ]);
  t.same(problemPaths({ sandbox: { driver: 'process' } }), []);
});

void t.test('a sandbox that isolates nothing is for the owner of the machine alone', async (t) => {
  const sandbox = { driver: 'process' };
  t.same(problemPaths({ sandbox, auth: { tokens: [TOKEN] } }), ['sandbox.driver']);
  t.same(problemPaths({ sandbox, mcp: { publicUrl: 'https://ai.example.org' } }), ['sandbox.driver']);
  t.same(problemPaths({ sandbox, auth: { mode: 'none' } }), [], 'two explicit words');
  t.same(problemPaths({ sandbox, listen: { hosts: ['ai.example.org'] } }), ['sandbox.driver']);
  t.same(problemPaths({ sandbox, listen: { trustedProxies: ['127.0.0.1'] } }), ['sandbox.driver']);
});

void t.test('the mode none is for loopback alone, and for nothing that others reach', async (t) => {
  const auth = { mode: 'none' };
  t.same(problemPaths({ auth }), []);
  t.same(problemPaths({ auth }, { HOST: '0.0.0.0' }), ['auth.mode']);
  t.same(problemPaths({ auth, mcp: { publicUrl: 'https://ai.example.org' } }), ['auth.mode']);
  t.same(problemPaths({ auth, listen: { hosts: ['localhost', 'fairlead.localhost'] } }), []);
  t.same(problemPaths({ auth, listen: { hosts: ['notlocalhost'] } }), ['auth.mode']);
  t.same(problemPaths({ auth, listen: { trustedProxies: ['10.0.0.0/8'] } }), ['auth.mode']);
  t.same(problemPaths({ auth: { ...auth, tokens: [TOKEN] } }), ['auth.mode']);
  t.same(problemPaths({ auth: { mode: '' } }), ['auth.mode']);
});

void t.test('contradictions between fields are problems too', async (t) => {
  t.same(problemPaths({ auth: { tokens: [TOKEN, { ...TOKEN, user: 'user-2' }] } }), ['auth.tokens.1.sha256']);
  t.same(problemPaths({ model: { provider: 'anthropic' } }), ['model.provider']);
  t.same(problemPaths({ model: { thinkingTokens: 100 } }), ['model.thinkingTokens']);
  t.same(problemPaths({ model: { thinkingTokens: 8192 } }), ['model.thinkingTokens']);
  for (const redisUrl of ['http://x', 'localhost:6379', 'redis://host:port']) {
    t.same(problemPaths({ store: { redisUrl } }), ['store.redisUrl'], redisUrl);
  }
  for (const DOCKER_HOST of ['ssh://host', 'host:2375', 'tcp://']) {
    t.same(problemPaths({}, { DOCKER_HOST }), ['DOCKER_HOST'], DOCKER_HOST);
  }
  t.same(problemPaths({}, { DOCKER_HOST: 'unix:///run/docker.sock' }), []);
});

void t.test('a time that Node’s timers cannot hold is refused: they would fire at once', async (t) => {
  const tooLong = 2_147_483_648;
  t.same(problemPaths({ approvals: { timeoutMs: tooLong }, sandbox: { toolTimeoutMs: tooLong } }), [
    'approvals.timeoutMs',
    'sandbox.toolTimeoutMs',
  ]);
  t.same(problemPaths({ store: { sessionTtlMs: tooLong } }), [], 'a session may live longer');
});

void t.test('a file that is not an object is one problem', async (t) => {
  for (const json of [null, [], 'text', 5]) t.same(problemPaths(json), ['(top level)']);
});

async function folderWith(t: { teardown: (fn: () => Promise<void>) => unknown }, text?: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fl-config-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  if (text !== undefined) await writeFile(join(dir, 'fairlead.json'), text);
  return dir;
}

void t.test('fairlead.json is read if it exists, and need not exist', async (t) => {
  const dir = await folderWith(t, '{"$schema": "./x.json", "listen": {"port": 7}}');
  const config = loadConfig({}, dir);
  t.equal(config.listen.port, 7);
  t.notOk('$schema' in config);
  t.equal(loadConfig({}, await folderWith(t)).listen.port, 3000);
});

void t.test('a named file must exist, and every file must be JSON', async (t) => {
  const dir = await folderWith(t, '{"listen": }');
  t.throws(() => loadConfig({ FAIRLEAD_CONFIG: 'other.json' }, dir), {
    code: 'ERR_CONFIG',
    problems: [{ path: join(dir, 'other.json') }],
  });
  t.throws(() => loadConfig({ FAIRLEAD_CONFIG: '.' }, dir), { code: 'ERR_CONFIG', problems: [{ path: dir }] });
  t.throws(() => loadConfig({}, dir), { code: 'ERR_CONFIG', problems: [{ path: join(dir, 'fairlead.json') }] });
});
