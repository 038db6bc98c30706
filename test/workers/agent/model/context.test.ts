import { array, assert, integer, nat, property } from 'fast-check';
import t from 'tap';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';
import { chooseContext, toModelMessages } from '../../../../workers/agent/model/context.js';
import { repairTranscript } from '../../../../workers/agent/model/repair-transcript.js';

const CHARACTERS = 300;
/** What `CHARACTERS` of text are estimated at. */
const TOKENS = 100;

const said = (role: 'user' | 'assistant', characters = CHARACTERS): TranscriptMessage => ({
  role,
  content: [{ type: 'text', text: 'x'.repeat(characters) }],
});
const use = (...ids: string[]): TranscriptMessage => ({
  role: 'assistant',
  content: ids.map((id) => ({ type: 'tool_use', id, name: 'echo', input: {} })),
});
const result = (id: string): TranscriptMessage => ({
  role: 'user',
  content: [{ type: 'tool_result', tool_use_id: id, content: [{ type: 'text', text: 'x'.repeat(CHARACTERS) }] }],
});
const turns = (count: number): TranscriptMessage[] =>
  Array.from({ length: count }, () => [said('user'), said('assistant')]).flat();

t.test('within the budget all is sent', async (t) => {
  t.equal(chooseContext(turns(5), null, 10 * TOKENS).from, 0);
  t.equal(chooseContext([], null, 1).from, 0);
});

t.test('over the budget the oldest turns are left out, far enough that the next turns find room', async (t) => {
  const transcript = turns(10);
  const { from } = chooseContext(transcript, null, 10 * TOKENS);
  t.equal(from, 14, 'three turns of two messages are 60 % of the budget');
  const known = { from, messages: transcript.length, tokens: 6 * TOKENS };
  const longer = [...transcript, ...turns(2)];
  t.equal(chooseContext(longer, known, 10 * TOKENS).from, from, 'the same cut, so that the prompt cache holds');
});

t.test('what the API has counted is believed, and scales the estimate', async (t) => {
  const transcript = turns(10);
  const cheap = { from: 0, messages: 20, tokens: 5 * TOKENS };
  t.equal(chooseContext([...transcript, said('user')], cheap, 10 * TOKENS).from, 0);
  const dear = { from: 0, messages: 20, tokens: 40 * TOKENS };
  t.equal(chooseContext([...transcript, said('user')], dear, 20 * TOKENS).from, 16);
});

t.test('a turn is left out whole, its calls with their results; the newest is always sent', async (t) => {
  const transcript = [said('user'), use('a'), result('a'), said('assistant'), said('user'), use('b'), result('b')];
  t.equal(chooseContext(transcript, null, TOKENS).from, 4);
  t.equal(chooseContext(transcript.slice(4), null, TOKENS).from, 0);
});

t.test('an image counts as one, not as its base64', async (t) => {
  const source = { type: 'base64', media_type: 'image/png', data: 'A'.repeat(1_000_000) };
  const transcript: TranscriptMessage[] = [{ role: 'user', content: [{ type: 'image', source }] }, ...turns(1)];
  t.equal(chooseContext(transcript, null, 2_000).from, 0);
});

t.test('a count from before the history was cleared is not used', async (t) => {
  t.equal(chooseContext(turns(1), { from: 8, messages: 20, tokens: 1_000_000 }, 10 * TOKENS).from, 0);
});

t.test('results of one answer are sent as one message, in the order of its calls', async (t) => {
  const transcript = [said('user'), use('a', 'b', 'c'), result('c'), result('a'), result('b'), said('assistant')];
  const messages = toModelMessages(transcript, 0);
  t.equal(messages.length, 4);
  t.match(messages[2]?.content, [{ tool_use_id: 'a' }, { tool_use_id: 'b' }, { tool_use_id: 'c' }]);
  t.equal(transcript.length, 6, 'the transcript is left alone');
});

t.test('whatever is cut, what is left is valid', async () => {
  const turn = nat(3).map((calls) => {
    const ids = Array.from({ length: calls }, () => Math.random().toString(36));
    return ids.length > 0
      ? [said('user'), use(...ids), ...ids.map(result), said('assistant')]
      : [said('user'), said('assistant')];
  });
  assert(
    property(array(turn), integer({ min: 1, max: 3_000 }), (all, budget) => {
      const transcript = all.flat();
      const { from } = chooseContext(transcript, null, budget);
      const sent = toModelMessages(transcript, from);
      return !repairTranscript(sent).repaired && (transcript.length === 0 || sent.length > 0);
    }),
  );
});
