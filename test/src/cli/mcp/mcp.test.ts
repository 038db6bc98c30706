import t from 'tap';
import { badCommand, resultOf } from '../../../helpers/bad-mcp.js';
import { startEngine } from '../../../helpers/engine.js';
import { startMcpHttpServer } from '../../../helpers/mcp-http-server.js';
import { runCli } from '../spawn-cli.js';

const docs = await startMcpHttpServer({ tools: { look: { description: 'Looks \u001b[31mred' } }, rich: true });
t.teardown(() => docs.stop());
const gone = await startMcpHttpServer();
await gone.stop();
const engine = await startEngine({
  config: {
    sandbox: { driver: 'process' },
    mcp: { allowLoopback: true },
    allowHostCommands: true,
    mcpServers: {
      docs: { url: docs.url },
      gone: { url: gone.url },
      dies: { command: process.execPath, args: ['-e', 'console.error("no licence"); process.exitCode = 3'] },
      odd: badCommand({ 'tools/list': resultOf({ tools: [{ name: 'look' }, { name: null }] }) }),
    },
  },
  env: { DOCKER_HOST: '' },
});
t.teardown(() => engine.stop());
const mcp = (t: Parameters<typeof runCli>[0], ...args: string[]): ReturnType<typeof runCli> =>
  runCli(t, ['mcp', ...args, '--url', engine.url]);

t.test('test asks each server now, says how long it took, and fails where one does not answer', async (t) => {
  const { code, stdout } = await mcp(t, 'test');
  t.equal(code, 1);
  t.match(stdout, /✓ docs \d+ ms · modern/);
  t.match(stdout, /✗ gone/);
  t.equal((await mcp(t, 'test', 'docs')).code, 0);
});

t.test('list is a table with the state of each, or JSON', async (t) => {
  const { code, stdout } = await mcp(t, 'list');
  t.equal(code, 1, 'one is not well');
  t.match(stdout, /^docs +url +healthy +modern +\d+ ms +1 tool$/m);
  t.match(stdout, /^gone +url +(reconnecting|down)/m);
  t.match(stdout, /^dies .*\n +.*exited with code 3; its stderr ends with: no licence$/m);
  t.match(stdout, /^odd .* 1 tool, 1 left out$/m);
  const json = JSON.parse((await mcp(t, 'list', '--json')).stdout) as unknown;
  t.match(json, {
    servers: [{ name: 'docs', kind: 'url', state: 'healthy', prompts: true, resources: true }, { name: 'gone' }],
  });
});

t.test('info tells of one server and its tools, and lets none of them paint the terminal', async (t) => {
  const { code, stdout } = await mcp(t, 'info', 'docs');
  t.equal(code, 0);
  t.match(stdout, /tools +1/);
  t.match(stdout, /look Looks/);
  t.notMatch(stdout, '\u001b[31mred');
});

t.test('a server that is not configured, and a Fairlead that does not run, are errors that say so', async (t) => {
  const unknown = await mcp(t, 'info', 'nobody');
  t.equal(unknown.code, 1);
  t.match(unknown.stderr, 'no MCP server nobody');
  const away = await runCli(t, ['mcp', 'list', '--url', `http://127.0.0.1:${gone.port}`]);
  t.equal(away.code, 1);
  t.match(away.stderr, 'ECONNREFUSED');
});

t.test('call runs a tool once, asks as a turn would, and prints its result', async (t) => {
  const refused = await mcp(t, 'call', 'docs', 'look', '{"at": "b"}');
  t.equal(refused.code, 1);
  t.match(refused.stderr, /Allow docs\/look with.*"at": "b"/s);
  t.match(refused.stderr, /nobody is at the terminal \(--yes/);
  const before = docs.calls.length;
  const { code, stdout, stderr } = await mcp(t, 'call', 'docs', 'look', '{"at": "b"}', '--yes');
  t.equal(code, 0, stderr);
  t.equal(docs.calls.length, before + 1);
  t.match(stdout, /\S/);
  const json = await mcp(t, 'call', 'docs', 'look', '--yes', '--json');
  t.match(JSON.parse(json.stdout), { content: Array });
});

t.test('call names what is wrong with the tool, its arguments and its server', async (t) => {
  t.match(await mcp(t, 'call', 'docs', 'lock'), { code: 1, stderr: /docs has no tool lock; it has: look/ });
  t.match(await mcp(t, 'call', 'docs', 'look', '{bad'), { code: 1, stderr: /not valid JSON/ });
  t.match(await mcp(t, 'call', 'docs', 'look', '[1]'), { code: 1, stderr: /must be a JSON object/ });
  t.match(await mcp(t, 'call', 'nobody', 'look'), { code: 1, stderr: /no MCP server nobody/ });
});
