/** The audit log names the rule that has decided, on every way to an MCP server: a turn, HTTP, `/mcp`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { auditFolder } from '../../src/audit/files.js';
import { names, world } from '../helpers/mcp-world.js';
import { text, tool } from '../helpers/model-server.js';
import { until } from '../helpers/until.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const look = { description: 'Looks' };
const { engine, model, ...docs } = await world(
  t,
  { rich: true, tools: { look, erase: look } },
  {
    approvals: {
      default: 'allow',
      rules: [
        { tool: 'erase', action: 'deny' },
        { tool: 'look', action: 'allow' },
        { tool: 'get_prompt', action: 'deny' },
      ],
    },
  },
);
await docs.until((health) => names(health).includes('look'));

type Entry = { what: string; user?: string; session?: string; about?: Record<string, unknown> };

/** What the log says of this session; undefined: of requests without one. */
function recorded(session: string | undefined): Entry[] {
  const folder = auditFolder(engine.dataDir);
  const lines = readdirSync(folder).flatMap((name) =>
    readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1),
  );
  return lines.map((line) => JSON.parse(line) as Entry).filter((entry) => entry.session === session);
}

const IN_TIME = { timeoutMs: 30_000 };
const tools = (entries: Entry[]): unknown[] =>
  entries
    .filter(({ what }) => /^tool|^resource/.test(what))
    .map(({ what, about }) => [what, about?.['tool'], about?.['rule']]);

t.test('in a turn', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  const { session } = await client.ready;
  model.enqueue(tool('look'), text('seen'), tool('erase'), text('refused'));
  await client.ask('look');
  await client.ask('erase');
  await until('all is recorded', () => tools(recorded(session)).length === 4, IN_TIME);
  t.same(tools(recorded(session)), [
    ['tool_allowed', 'look', 'approvals.rules.1'],
    ['tool_run', 'look', undefined],
    ['tool_done', 'look', undefined],
    ['tool_denied', 'erase', 'approvals.rules.0'],
  ]);
});

t.test('over HTTP', async (t) => {
  const url = `${engine.url}/v1/mcp/docs`;
  t.equal((await fetch(`${url}/resources/read?uri=${encodeURIComponent('test://notes')}`)).status, 200);
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ arguments: { who: 'Ada' } });
  t.equal((await fetch(`${url}/prompts/greet`, { method: 'POST', headers, body })).status, 403);
  await until('both are recorded', () => tools(recorded(undefined)).length === 2, IN_TIME);
  t.match(recorded(undefined).slice(-2), [
    { what: 'resource_read', user: 'local', about: { server: 'docs', tool: 'read_resource', argsSha256: String } },
    { what: 'tool_denied', user: 'local', about: { server: 'docs', tool: 'get_prompt', by: 'policy' } },
  ]);
});

t.test('over /mcp', async (t) => {
  const call = async (name: string): Promise<string> => {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const headers = {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': name,
    };
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name, arguments: {}, _meta },
    });
    return (await fetch(`${engine.url}/mcp`, { method: 'POST', headers, body })).text();
  };
  t.match(await call('erase'), 'denied');
  t.notMatch(await call('look'), 'denied');
  const { sessions } = (await (await fetch(`${engine.url}/v1/sessions`)).json()) as { sessions: { session: string }[] };
  const ofMcp = (): Entry[] =>
    sessions
      .map(({ session }) => recorded(session))
      .find((entries) => entries.every(({ what }) => what !== 'message_accepted')) ?? [];
  await until('all is recorded', () => tools(ofMcp()).length === 4, IN_TIME);
  t.same(tools(ofMcp()), [
    ['tool_denied', 'erase', 'approvals.rules.0'],
    ['tool_allowed', 'look', 'approvals.rules.1'],
    ['tool_run', 'look', undefined],
    ['tool_done', 'look', undefined],
  ]);
});
