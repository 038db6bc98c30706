import { array, assert, integer, nat, property } from 'fast-check';
import t from 'tap';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';
import { chooseContext, SentContext, toModelMessages } from '../../../../workers/agent/model/context.js';
import { png } from '../../../helpers/images.js';
import { repairTranscript } from '../../../../workers/agent/model/repair-transcript.js';

const CHARACTERS = 300;
/** What `CHARACTERS` of text are estimated at. */
const TOKENS = 100;

const ALL = { from: 0, trimmed: 0, resultBytes: Infinity };

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
  const messages = toModelMessages(transcript, ALL);
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
      const part = chooseContext(transcript, null, budget);
      const sent = toModelMessages(transcript, part);
      return !repairTranscript(sent).repaired && (transcript.length === 0 || sent.length > 0);
    }),
  );
});

const sentBy = (context: SentContext): string => JSON.stringify(context.messages());
const long = (id: string, letter: string, bytes: number): TranscriptMessage => ({
  role: 'user',
  content: [{ type: 'tool_result', tool_use_id: id, content: [{ type: 'text', text: letter.repeat(bytes) }] }],
});
const write = (id: string): TranscriptMessage => ({
  role: 'assistant',
  content: [{ type: 'tool_use', id, name: 'write_file', input: { path: `/${id}`, content: id.repeat(50_000) } }],
});
const shot = (width: number, height: number): TranscriptMessage => ({
  role: 'user',
  content: [
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png(width, height, 1_000_000) } },
  ],
});
const count = (text: string, letter: string): number => text.split(letter).length - 1;

t.test(
  'a turn of more files than the model takes keeps the newest of them, and all that was said before',
  async (t) => {
    const ids = Array.from('ABCDEFGHIJKL');
    const files = ids.flatMap((letter) => [use(letter), long(letter, letter, 100_000)]);
    const transcript = [said('user'), said('assistant'), said('user'), ...files];
    const context = new SentContext(transcript, null, { historyTokens: 150_000 });
    const sent = sentBy(context);
    t.equal(context.part.from, 0, 'the turn before is there');
    t.equal(count(sent, 'L'), 100_000 + 2, 'the newest is whole');
    t.ok(count(sent, 'B') < 100, 'the oldest are words');
    t.match(sent, /100000 bytes.*get it again, in smaller parts/);
    t.notOk(repairTranscript(context.messages()).repaired);
    t.ok(Buffer.byteLength(sent) < 450_000);
    const next = [...transcript, use('x'), result('x')];
    const known = { ...context.part, messages: transcript.length, tokens: 100_000 };
    t.same(chooseContext(next, known, 150_000), context.part, 'the same cut, so that the prompt cache holds');
  },
);

t.test('results of one answer that are too long together lose the oldest, as they came', async (t) => {
  const ids = Array.from('ABCDEFGHIJKL');
  const transcript = [said('user'), use(...ids), ...ids.map((letter) => long(letter, letter, 100_000))];
  const sent = sentBy(new SentContext(transcript, null, { historyTokens: 150_000 }));
  t.equal(count(sent, 'L'), 100_000 + 2);
  t.ok(count(sent, 'A') < 100);
});

t.test('results of earlier turns go before what was said in them', async (t) => {
  const transcript = [said('user'), use('A'), long('A', 'A', 18_000), said('assistant'), said('user', 15_000)];
  const { from, trimmed } = chooseContext(transcript, null, 10_000);
  t.equal(from, 0);
  t.equal(trimmed, 3);
});

t.test('one result that is longer than the model takes loses its middle', async (t) => {
  const transcript = [said('user'), use('A'), long('A', 'A', 1_000_000)];
  const sent = sentBy(new SentContext(transcript, null, { historyTokens: 30_000 }));
  t.equal(count(sent, 'A'), 60_000 + 2);
  t.match(sent, /940000 bytes are not shown here/);
});

t.test('long arguments of old calls go with their results', async (t) => {
  const transcript = [said('user'), ...Array.from('ABCDEF').flatMap((letter) => [write(letter), result(letter)])];
  const sent = sentBy(new SentContext(transcript, null, { historyTokens: 60_000 }));
  t.ok(count(sent, 'A') < 500);
  t.match(sent, '"path":"/A"');
  t.ok(count(sent, 'F') > 50_000);
});

t.test('what the model has said that it takes counts, with some room', async (t) => {
  const { part } = new SentContext(turns(10), null, { historyTokens: 150_000, takes: 10 * TOKENS });
  t.equal(part.from, 16);
});

t.test('only what was cut is kept for the next request', async (t) => {
  const short = new SentContext(turns(3), null, { historyTokens: 150_000 });
  t.same(short.stored, { from: 0 });
  const cut = new SentContext(turns(10), null, { historyTokens: 10 * TOKENS });
  t.equal(cut.stored.from, 14);
  t.notOk('resultBytes' in cut.stored);
  const dense = new SentContext([said('user'), use('A'), long('A', 'A', 250_000)], null, { historyTokens: 150_000 });
  dense.shorter({ tokens: 250_000, maximum: 200_000 });
  t.match(dense.stored, { from: 0, resultBytes: Number });
  t.ok(dense.stored.resultBytes! < 200_000);
});

t.test('the model is told that earlier messages are not shown', async (t) => {
  const sent = new SentContext(turns(10), null, { historyTokens: 10 * TOKENS }).messages();
  t.match(sent[0]?.content[0], { text: /Earlier messages/ });
  const all = new SentContext(turns(2), null, { historyTokens: 10 * TOKENS }).messages();
  t.notMatch(JSON.stringify(all), 'Earlier messages');
});

t.test('an image costs by its pixels', async (t) => {
  for (const [width, height, tokens] of [
    [100, 75, 10],
    [1_500, 1_000, 2_000],
    [8_000, 8_000, 4_784],
    [8_000, 100, 111],
  ] as const) {
    const transcript = [shot(width, height), said('assistant'), said('user')];
    t.equal(chooseContext(transcript, null, tokens + 2 * TOKENS).from, 0, `${width} × ${height}`);
    t.equal(chooseContext(transcript, null, tokens + 2 * TOKENS - 2).from, 2, `${width} × ${height}`);
  }
});

t.test('what the API says of the size is learned from, down to what fits', () => {
  assert(
    property(
      array(integer({ min: 10, max: 200_000 }), { minLength: 1, maxLength: 12 }),
      integer({ min: 3_000, max: 100_000 }),
      integer({ min: 1, max: 4 }),
      (sizes, maximum, bytesPerToken) => {
        const files = sizes.flatMap((size, index) => [use(`${index}`), long(`${index}`, 'x', size)]);
        const context = new SentContext([said('user', 30), ...files], null, { historyTokens: 150_000 });
        const tokens = (): number => Math.ceil(Buffer.byteLength(sentBy(context)) / bytesPerToken);
        for (let asked = 0; tokens() > maximum; asked++) {
          if (asked > 6) return false;
          if (context.shorter({ tokens: tokens(), maximum }) === undefined) break;
        }
        // What no cut can help: the words in place of each result, and the calls themselves.
        return tokens() <= Math.max(maximum, (sizes.length * 600) / bytesPerToken + 1_000);
      },
    ),
  );
  return Promise.resolve();
});
