import t from 'tap';
import { isImageServer, poolKey, serversOf } from '../../../src/shared/config-mcp.js';
import { parseConfig } from '../../../src/shared/config.js';
import { capabilitiesFor, originOf } from '../../../src/shared/mcp-capabilities.js';

const { mcpServers } = parseConfig(
  {
    allowHostCommands: true,
    mcpServers: {
      box: { image: 'a' },
      inside: { command: 'x', sandbox: 'box' },
      asking: { image: 'a', elicitation: true, roots: true, sampling: {} },
      host: { command: 'x' },
      remote: { url: 'https://example.org/mcp' },
      quiet: { url: 'https://example.org/mcp', elicitation: false, roots: false },
    },
  },
  {},
);
const offered = (server: string): string[] => Object.keys(capabilitiesFor(mcpServers, server)).sort();

t.test('a server in a sandbox is offered nothing that is not configured', async (t) => {
  t.same(offered('box'), []);
  t.same(offered('inside'), []);
  t.same(offered('asking'), ['elicitation', 'roots', 'sampling']);
  t.same(offered('no such server'), []);
});

t.test('a server that the operator names outside a sandbox may ask, unless it is told not to', async (t) => {
  t.same(offered('host'), ['elicitation', 'roots']);
  t.same(offered('remote'), ['elicitation', 'roots']);
  t.same(offered('quiet'), []);
});

t.test('what a server in a sandbox asks is marked as coming from there', async (t) => {
  t.same(
    ['box', 'inside', 'asking'].map((server) => originOf(mcpServers, server).origin),
    Array(3).fill('sandbox'),
  );
  t.same(
    ['host', 'remote'].map((server) => originOf(mcpServers, server).origin),
    [undefined, undefined],
  );
});

t.test('sandboxes whose servers were told different capabilities do not share a pool', async (t) => {
  const keys = serversOf(mcpServers, isImageServer).map(([, server]) => poolKey(server));
  t.equal(new Set(keys).size, keys.length);
});
