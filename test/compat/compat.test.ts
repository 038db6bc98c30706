/** A gateway, a server and a client for real; `npm run compat` tries all of them. */
import t from 'tap';
import { CLIENTS, tryClients } from './clients.js';
import { foundTable, inWords } from './found.js';
import { GATEWAYS, tryGateways } from './gateways.js';
import { tryServers } from './host.js';
import { SERVERS } from './servers.js';

t.setTimeout(300_000);

t.test('a popular server is listed, its tools are judged as the API judges them, and one is called', async (t) => {
  const [row] = await tryServers(
    SERVERS.filter(({ name }) => name === 'memory'),
    (line) => t.comment(line),
  );
  t.match(row, {
    ok: true,
    what: '`@modelcontextprotocol/server-memory` 2026.8.31',
    how: 'host command, Node 20',
    found: /^legacy protocol, 9 tools; the model takes 9; `read_graph` answers$/,
  });
});

t.test('a server that does not start is found so, with the reason', async (t) => {
  const [row] = await tryServers(
    [
      {
        name: 'broken',
        package: '@modelcontextprotocol/server-filesystem',
        version: '2026.8.31',
        args: ['/no/such/folder'],
      },
    ],
    (line) => t.comment(line),
  );
  t.match(row, { ok: false, found: /^not listed: / });
});

t.test('a client lists the tools behind /mcp and calls one', async (t) => {
  const [row] = await tryClients(
    CLIENTS.filter(({ name }) => name === 'curl'),
    (line) => t.comment(line),
  );
  t.match(row, { ok: true, what: /^curl \d/, found: 'lists the tools and calls one' });
});

t.test('through a gateway a model of another kind calls tools, each once, under an id that it repeats', async (t) => {
  const [row] = await tryGateways(GATEWAYS, (line) => t.comment(line));
  t.match(row, { ok: true, found: /^ready; two turns stream, each call runs once/ });
});

t.test('a row is one line of a table, whatever a server has printed', async (t) => {
  const row = { what: 'a', how: 'b', found: `one\ntwo | three`, ok: false };
  t.equal(foundTable(['x', 'y', 'z'], [row]).split('\n').at(-1), String.raw`| a   | b   | one two \| three |`);
  t.equal(inWords('a'.repeat(400)).length, 301);
});
