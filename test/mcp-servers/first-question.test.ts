/** A server of the older era that asks the person in the first call of a session, through /mcp and a whole engine. */
import t from 'tap';
import { startEngine } from '../helpers/engine.js';
import { until } from '../helpers/until.js';
import { connectMcp, KINDS } from '../src/front/routes/mcp-clients.js';
import { SHOWS } from './every-server.js';
import { everything } from './programs.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const engine = await startEngine({
  config: {
    sandbox: { driver: 'process' },
    allowHostCommands: true,
    approvals: { default: 'allow' },
    mcpServers: { everything: { ...everything(), scope: 'session', elicitation: true } },
  },
  env: { DOCKER_HOST: '' },
});
t.teardown(() => engine.stop());
const { name, answer, answers } = SHOWS.everything.asks;

for (const kind of KINDS) {
  t.test(`${kind}: the first call of a session asks its person`, async (t) => {
    const asked: string[] = [];
    const onElicit = (message: string): { action: 'accept'; content: typeof answer } => {
      asked.push(message);
      return { action: 'accept', content: answer };
    };
    const client = await connectMcp(kind, engine.url, { onElicit });
    t.teardown(() => client.close());
    await until('it is listed', async () => (await client.listTools()).some((tool) => tool.name === name), {
      timeoutMs: 60_000,
    });
    t.match(await client.callTool(name, {}), { isError: false, text: answers });
    t.equal(asked.length, 1);
  });
}
