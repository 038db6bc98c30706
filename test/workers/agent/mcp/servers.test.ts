import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import type { Standing } from '../../../../src/shared/person.js';
import { NO_USER } from '../../../../workers/agent/mcp/host/no-user.js';
import type { Caller } from '../../../../workers/agent/mcp/host/server-connection.js';
import { McpServers, type ServerBackends } from '../../../../workers/agent/mcp/servers.js';

t.test(
  'a connection to a server that is kept for groups is opened for members, and when Fairlead lists it',
  async (t) => {
    const opened: string[] = [];
    const backend = { get: async ({ user }: Caller, server: string) => void opened.push(`${user}: ${server}`) };
    const mcpServers = {
      lab: { url: 'https://lab.example/mcp', groups: ['research'] },
      open: { url: 'https://open.example/mcp' },
    };
    const backends = { sandboxes: backend, commands: backend, remotes: backend } as unknown as ServerBackends;
    const servers = new McpServers(parseConfig({ mcpServers }, {}), backends);
    const open = (user: string, server: string, who?: Standing) =>
      servers.connection({ user, session: 's', who }, server);
    await open('ada', 'lab', { role: 'user', groups: ['research'] });
    await open('bob', 'open');
    await open(NO_USER, 'lab');
    t.same(opened, ['ada: lab', 'bob: open', ': lab']);
    for (const who of [undefined, { role: 'admin', groups: ['Research'] } as const]) {
      for (const server of ['lab', 'nowhere', '__proto__']) {
        const told = { code: 'ERR_MCP', message: `the configuration has no MCP server ${server}` };
        await t.rejects(open('bob', server, who), told, server);
      }
    }
    await t.rejects(open(NO_USER, 'nowhere'), { code: 'ERR_MCP' });
    t.equal(opened.length, 3);
  },
);
