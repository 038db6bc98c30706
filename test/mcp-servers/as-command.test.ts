import t from 'tap';
import { until } from '../helpers/until.js';
import { callOf, isAlive, makeFolder, OF, startCommands, textOf } from '../workers/agent/mcp/command/command-bench.js';
import { SHOWS, showAll, showAsking } from './every-server.js';
import { everything, filesystem, memory, sdkV1, sdkV2 } from './programs.js';

const folder = makeFolder(t);
const servers = {
  v1: sdkV1(),
  v2: sdkV2(),
  modern: sdkV2('--modern'),
  everything: everything(),
  filesystem: filesystem(folder),
  memory: { ...memory(), env: { MEMORY_FILE_PATH: `${folder}/memory.jsonl` } },
};
const ERAS = {
  v1: 'legacy',
  v2: 'modern',
  modern: 'modern',
  everything: 'legacy',
  filesystem: 'legacy',
  memory: 'legacy',
};

for (const name of ['v1', 'v2', 'modern', 'everything', 'filesystem', 'memory'] as const) {
  void t.test(`${name} as a command: listed, called, cancelled, asking, killed under it and used again`, async (t) => {
    const { commands, lines, pids } = startCommands(t, { servers });
    const open = () => commands.get(OF, name);
    const shows = SHOWS[name === 'modern' ? 'v2' : name];
    await showAll(t, shows, open);
    const connection = await open();
    t.equal(connection.era, ERAS[name]);
    const [pid = 0] = pids();
    t.ok(isAlive(pid));
    process.kill(pid, 'SIGKILL');
    await until('its end is noticed', () => lines.some(({ msg }) => msg === 'mcp server ended'), { timeoutMs: 10_000 });
    const again = await open();
    t.not(again, connection);
    t.match(
      await textOf(again, callOf(shows.plain.name, 'args' in shows.plain ? shows.plain.args : {})),
      shows.plain.answers,
    );
  });
}

t.test('a session’s first call may ask its person, whatever is listed beside it', async (t) => {
  const { commands } = startCommands(t, { servers });
  const { asks } = SHOWS.everything;
  // Right after its start this server says that its tools have changed, so that they are listed while the call runs.
  for (const session of ['one', 'two', 'three']) {
    await showAsking(t, asks, await commands.get({ ...OF, session }, 'everything'));
  }
});
