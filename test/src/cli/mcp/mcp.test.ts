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
