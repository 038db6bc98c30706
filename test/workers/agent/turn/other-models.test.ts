import t, { type Test } from 'tap';
import { createAnthropicModel } from '../../../../workers/agent/model/anthropic.js';
import { offeredTool, startModelServer, text, toolResults, type Reply } from '../../../helpers/model-server.js';
import { startBench } from '../agent-bench.js';
import { configFor } from '../model/streams.js';
import type { Script } from '../scripted-model.js';

const ALLOWED = { approvals: { rules: [{ server: '*', tool: '*', action: 'allow' }] } };
const NO_USAGE = { input_tokens: 0, output_tokens: 0 };

/** A session whose model is the real adapter before a stand-in of a gateway. */
async function start(t: Test, config: Record<string, unknown> = ALLOWED, rounds = 20) {
  const server = await startModelServer();
  t.teardown(() => server.close());
  const model = createAnthropicModel(configFor(server.url));
  const bench = await startBench(t, config);
  const asked: Script = (request, signal) => model.stream(request, signal);
  bench.model.next(...Array.from({ length: rounds }, () => asked));
  return { server, bench };
}

/** One call with that id a round, `rounds` times, then words. */
const inRounds =
  (ids: readonly string[], rounds: number, stopReason = 'tool_use') =>
  ({ body }: { body: Parameters<typeof toolResults>[0] }): Reply => {
    const round = body.messages.filter(({ role }) => role === 'assistant').length;
    if (round >= rounds) return text('done');
    const blocks = ids.map((id, index) => ({
      tool: offeredTool(body, 'echo')!,
      input: { text: `${round}.${index}` },
      id,
    }));
    return { blocks, stopReason };
  };

for (const [what, ids] of Object.entries({
  'that the API would refuse': ['functions.echo:0'],
  'that are empty': [''],
  'that are the same in one answer': ['call', 'call', 'call'],
  'that are good, and come again': ['call_0', 'call_1'],
})) {
  t.test(`calls with ids ${what} run once each round, and the model sees each result`, async (t) => {
    const { server, bench } = await start(t);
    server.script(inRounds(ids, 3));
    await bench.say('go');
    t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
    const texts = [0, 1, 2].map((round) => ids.map((_, index) => `${round}.${index}`));
    t.same(
      bench.box.calls.toSorted(),
      texts.flat().map((each) => `echo ${each}`),
    );
    for (const [round, wanted] of texts.entries()) {
      const results = toolResults(server.requests[round + 1]!.body);
      t.same(
        results.map((result) => result.text),
        wanted.map((each) => `echo: ${each}`),
      );
    }
    const callIds = bench.events.flatMap((event) => (event.type === 'tool:start' ? [event.callId] : []));
    t.equal(new Set(callIds).size, 3 * ids.length, 'clients can tell them apart');
    t.same(server.violations, []);
  });
}

t.test('calls of an answer that says it has ended run', async (t) => {
  const { server, bench } = await start(t);
  server.script(inRounds(['a'], 1, 'end_turn'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { stopReason: 'end_turn' });
  t.equal(bench.box.calls.length, 1);
  t.match(toolResults(server.requests[1]!.body), [{ text: 'echo: 0.0' }]);
});

t.test('a conversation whose model counts no tokens is cut by an estimate', async (t) => {
  const { server, bench } = await start(t, { model: { historyTokens: 2_000 } });
  server.script(() => ({ ...text('word '.repeat(400)), usage: NO_USAGE, chunk: 2_000 }));
  for (let turn = 1; turn <= 8; turn++) {
    await bench.say(`turn ${turn}`);
    await bench.turnEnd(turn);
  }
  const sent = server.requests.at(-1)!.body.messages;
  t.ok(sent.length < 8, `${sent.length} messages`);
  t.match(JSON.stringify(sent.at(-1)), 'turn 8');
});
