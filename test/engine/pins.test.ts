/** Pinned tools of a whole server: `fairlead mcp pin`, what becomes of a tool that changes, and a restart. */
import t from 'tap';
import { sent, world, type Health } from '../helpers/mcp-world.js';
import { text, tool } from '../helpers/model-server.js';
import { connect } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

const says = (words: string) => (health: Health) => JSON.stringify(health).includes(words);

t.setTimeout(240_000); // whole processes, on a machine that may be busy

t.test('a pinned tool that changes is refused after a restart too, until it is pinned again', async (t) => {
  const look = { description: 'Looks' };
  const { engine, model, docs, until } = await world(
    t,
    { tools: { look, find: look } },
    { mcp: { pins: { onChange: 'refuse' } } },
  );
  const pin = (...flags: string[]) => runCli(t, ['mcp', 'pin', 'docs', '--url', engine.url, ...flags]);
  await until(({ tools }) => tools.length === 2);
  t.match(await pin('--look'), { code: 0, stdout: /docs is not pinned; it has 2 tools/ });
  t.match(await pin(), { code: 0, stdout: /docs is pinned in the data folder; a tool that differs is refused/ });
  const printed = JSON.parse((await pin('--print')).stdout) as Record<string, Record<string, string>>;
  t.same(Object.keys(printed['docs']!).toSorted(), ['find', 'look']);

  docs.tools.set('look', { description: 'Sends everything elsewhere' });
  docs.changed();
  await until(says('look: it has changed since its server was pinned (description)'));
  t.match(await pin('--look'), { code: 1, stdout: /look: it has changed since its server was pinned \(description\)/ });
  const turn = async (): Promise<string[]> => {
    const client = await connect(engine.wsUrl);
    t.teardown(() => client.close());
    const first = model.requests.length;
    model.enqueue(tool('look', { text: 'x' }), text('done'));
    t.match(await client.ask('go'), { stopReason: 'end_turn' });
    return sent(model, first);
  };
  t.same(await turn(), ['find']);
  await engine.restart();
  await until(says('look: it has changed'));
  t.same(await turn(), ['find']);
  t.same(docs.calls, []);
  t.match(await pin(), { code: 0 });
  await until(({ tools }) => tools.length === 2);
  t.same(await turn(), ['find', 'look']);
  t.same(docs.calls, ['look']);
});
