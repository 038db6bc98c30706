import t from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import type { McpServerConfigs } from '../../../src/shared/config-mcp.js';
import { definitionKey, serverChanges } from '../../../src/shared/server-changes.js';

const servers = (mcpServers: object): McpServerConfigs =>
  parseConfig({ allowHostCommands: true, mcpServers }, {}).mcpServers;

t.test('servers are told apart by how they are reached, and not by who may use them', async (t) => {
  const before = servers({
    same: { url: 'https://a.example', headers: { a: '1', b: '2' } },
    used: { url: 'https://a.example' },
    moved: { url: 'https://a.example' },
    keyed: { url: 'https://a.example', headers: { a: '1' } },
    asks: { url: 'https://a.example' },
    kind: { command: 'x' },
    gone: { command: 'x' },
  });
  const after = servers({
    fresh: { command: 'x' },
    kind: { url: 'https://a.example' },
    asks: { url: 'https://a.example', sampling: {} },
    keyed: { url: 'https://a.example', headers: { a: '2' } },
    moved: { url: 'https://b.example' },
    used: { url: 'https://a.example', groups: ['x'], tools: { deny: ['y'] }, trustHints: true, timeoutMs: 5 },
    same: { headers: { b: '2', a: '1' }, url: 'https://a.example' },
  });
  t.same(serverChanges(before, after), {
    added: ['fresh'],
    changed: ['kind', 'asks', 'keyed', 'moved'],
    removed: ['gone'],
  });
  t.equal(definitionKey(before['same']!), definitionKey(after['same']!));
});
