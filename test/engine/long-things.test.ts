import t, { type Test } from 'tap';
import { startStack } from '../helpers/stack.js';
import { text, tool, toolResults, type Reply, type RequestBody } from '../helpers/model-server.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

/** Of the stand-in model, in tokens of three bytes each. */
const MODEL_TAKES = 100_000;
const FILES = 12;

const stack = await startStack({
  config: { approvals: { rules: [{ server: 'workspace', tool: '*', action: 'allow' }] } },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function talker(t: Test): Promise<TestClient> {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  return client;
}

/** Gives the replies one after the other, and refuses what is too long as the API does. */
function replies(all: readonly Reply[]): RequestBody[] {
  const taken: RequestBody[] = [];
  model.script(({ body }) => {
    const tokens = Math.ceil(JSON.stringify(body).length / 3);
    if (tokens > MODEL_TAKES) {
      return { status: 400, error: { message: `prompt is too long: ${tokens} tokens > ${MODEL_TAKES} maximum` } };
    }
    taken.push(body);
    const reply = all[taken.length - 1] ?? text('nothing more');
    return { ...reply, usage: { input_tokens: tokens, output_tokens: 20 } };
  });
  return taken;
}

t.test('a turn that reads twelve files of 100 KB goes on to its end, and remembers what was said', async (t) => {
  const client = await talker(t);
  const make = `for i in $(seq 1 ${FILES}); do yes "file $i has this line, over and over, until it is long" | head -c 100000 > f$i; done`;
  const numbers = Array.from({ length: FILES }, (_, index) => index + 1);
  const taken = replies([
    text('I will'),
    tool('run_command', { command: make }),
    ...numbers.map((number) => tool('read_file', { path: `f${number}` })),
    text('all read'),
    text('blue'),
  ]);
  for (const said of ['Remember the colour blue.', 'Read the twelve files.', 'Which colour?']) {
    client.say(said);
    t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  }
  t.equal(taken.length, FILES + 4);
  const last = JSON.stringify(taken.at(-1));
  t.match(last, 'Remember the colour blue.');
  t.match(last, `file ${FILES} has this line`, 'the newest file is there');
  t.match(last, 'is not shown here any more', 'the model is told of the others');
  t.same(client.gaps(), []);
});

t.test('the same in one round, with all twelve at once', async (t) => {
  const client = await talker(t);
  const make = `for i in $(seq 1 ${FILES}); do yes "file $i has this line, over and over, until it is long" | head -c 100000 > f$i; done`;
  const blocks = Array.from({ length: FILES }, (_, index) => ({ tool: 'read_file', input: { path: `f${index + 1}` } }));
  const taken = replies([tool('run_command', { command: make }), { blocks }, text('all read')]);
  client.say('go');
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  t.equal(taken.length, 3);
});

t.test('what a program draws, names of any bytes and line ends of any kind reach the model as text', async (t) => {
  const client = await talker(t);
  const make = [
    "printf 'one\\r\\ntwo\\r\\n' > $'line\\nbreak'",
    "printf 'latin' > $'caf\\xe9'",
    "for i in $(seq 1 5000); do printf '\\rstep %d' $i; done; printf '\\n\\033[32mdone\\033[0m\\n'",
  ].join('; ');
  const taken = replies([
    tool('run_command', { command: make }),
    tool('list_files', {}),
    tool('read_file', { path: '"caf\\xe9"' }),
    tool('edit_file', { path: '"line\\nbreak"', old_text: 'one\ntwo\n', new_text: 'one\n1.5\ntwo\n' }),
    tool('run_command', { command: "od -An -c $'line\\nbreak'" }),
    text('ok'),
  ]);
  client.say('go');
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  const results = taken.map((body) => toolResults(body).at(-1)?.text ?? '');
  t.match(results[1], /^step 5000\ndone\n/);
  t.same(
    results[2]?.split('\n').filter((line) => line.startsWith('"')),
    ['"caf\\xe9" (5 bytes)', '"line\\nbreak" (10 bytes)'],
  );
  t.match(results[3], 'latin');
  t.match(results[5]?.replaceAll(/\s+/g, ' '), 'o n e \\r \\n 1 . 5 \\r \\n t w o \\r \\n');
});

t.test('at the end the model’s API had nothing else to refuse', async (t) => {
  t.same(model.violations, []);
});
