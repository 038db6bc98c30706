import t from 'tap';
import { startCommandStack } from '../helpers/commands.js';
import { printAsServer } from '../helpers/inside.js';

const stack = await startCommandStack({
  agents: { threads: 1, spare: false, hangTimeoutMs: 4_000 },
  sandbox: { toolTimeoutMs: 60_000 },
});
t.teardown(() => stack.stop());
const { engine, talker, run } = stack;

const restarts = (): number => engine.logs.filter(({ msg }) => msg.startsWith('agent thread ended')).length;

const FLOODS = {
  'results for nobody': `{"jsonrpc":"2.0","id":"g0-999","result":{}}`,
  'lines that are no messages': 'log line',
};

for (const [what, line] of Object.entries(FLOODS)) {
  t.test(`a flood of ${what} interrupts no neighbour, and costs its own session no file`, async (t) => {
    const loud = await talker(t);
    const neighbour = await talker(t);
    t.match(await run(loud, 'echo kept > kept.txt; echo ok'), 'ok');
    t.match(await run(neighbour, 'echo mine'), 'mine');
    const [container] = await stack.leasedTo((await loud.ready).session);
    const flooded = run(loud, 'sleep 50');
    const yes = await printAsServer(container!.id, `exec yes '${line}'`);
    t.teardown(() => yes.stop());
    for (let call = 0; call < 5; call++) t.match(await run(neighbour, `echo call ${call}`), `call ${call}`);
    // A machine so busy that it reads the flood more slowly than its rate lets it go on, and the command ends as it would.
    t.match(
      await flooded,
      /more than \d+ (messages that nobody asked for|lines that are not MCP)|killed at its timeout/,
    );
    t.match(await run(loud, 'cat kept.txt'), 'kept');
    t.equal(restarts(), 0);
  });
}

t.test('1,500 plain lines and a line of 100 MB on the server’s stdout end nothing', async (t) => {
  const client = await talker(t);
  await run(client, 'echo kept > kept.txt');
  const { session } = await client.ready;
  const [before] = await stack.leasedTo(session);
  const long = `{ head -c 100000000 /dev/zero | tr '\\0' x; echo; }`;
  const printed = await printAsServer(before!.id, `seq 1500; ${long}`);
  await printed.ended;
  t.match(await run(client, 'cat kept.txt'), 'kept');
  const [after] = await stack.leasedTo(session);
  t.equal(after?.id, before?.id, 'the same container');
});
