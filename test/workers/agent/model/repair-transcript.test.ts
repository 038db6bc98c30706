import * as fc from 'fast-check';
import t from 'tap';
import { repairTranscript } from '../../../../workers/agent/model/repair-transcript.js';
import { anyTranscript, assistant, deepFreeze, result, use, user } from './transcripts.js';

const interrupted = (...ids: string[]) => ({
  role: 'user' as const,
  content: ids.map((id) => ({
    type: 'tool_result',
    tool_use_id: id,
    content: [{ type: 'text', text: String }],
    is_error: true,
  })),
});

t.test('a whole transcript comes back as it is', async (t) => {
  const transcript = [
    user('hi'),
    assistant('ok', use('a'), use('b')),
    user(result('b'), result('a')),
    assistant('done'),
  ];
  const repair = repairTranscript(transcript);
  t.equal(repair.repaired, false);
  t.same(repair.appended, []);
  t.ok(transcript.every((message, index) => repair.messages[index] === message));
  t.not(repair.messages, transcript, 'in an array of its own');
});

t.test('calls that a crash left at the end get results to append', async (t) => {
  const transcript = [user('hi'), assistant(use('a'), use('b'))];
  const repair = repairTranscript(transcript);
  t.match(repair.appended, [interrupted('a', 'b')]);
  t.match(repair.messages, [...transcript, interrupted('a', 'b')]);
  t.equal(repair.repaired, true);
});

t.test('a call whose sibling has its result, or behind which the person spoke, is answered at the end', async (t) => {
  t.match(repairTranscript([user('hi'), assistant(use('a'), use('b')), user(result('a'))]).appended, [
    interrupted('b'),
  ]);
  t.match(repairTranscript([user('hi'), assistant(use('a')), user('still there?')]).appended, [interrupted('a')]);
});

t.test('a call left open in the middle is answered in the middle, and nothing is appended', async (t) => {
  const before = [user('hi'), assistant(use('a'))];
  const after = [user('still there?'), assistant('yes')];
  const repair = repairTranscript([...before, ...after]);
  t.match(repair.messages, [...before, interrupted('a'), ...after]);
  t.same(repair.appended, []);
  t.equal(repair.repaired, true);
});

t.test('results spread over several user messages belong to the answer before them', async (t) => {
  const transcript = [user('hi'), assistant(use('a'), use('b')), user(result('a')), user(result('b')), assistant('ok')];
  t.equal(repairTranscript(transcript).repaired, false);
});

t.test('results without a call, repeated results and calls that an answer repeats are dropped', async (t) => {
  const repair = repairTranscript([
    user(result('x'), 'hi'),
    assistant(use('a'), use('a')),
    user(result('a'), result('a'), result('y')),
    assistant('again'),
    user(result('a'), 'well?'),
  ]);
  t.same(repair.messages, [user('hi'), assistant(use('a')), user(result('a')), assistant('again'), user('well?')]);
  t.same(repair.appended, []);
});

const twoCalls = (n = '') => [assistant(use(`a${n}`), use(`b${n}`)), user(result(`b${n}`), result(`a${n}`))];

t.test('calls with the id of an earlier answer keep their results under an id of their own', async (t) => {
  const round = twoCalls();
  t.same(repairTranscript([user('hi'), ...round, ...round, user('more'), ...round]).messages, [
    user('hi'),
    ...round,
    ...twoCalls('-2'),
    user('more'),
    ...twoCalls('-3'),
  ]);
  const taken = [user('hi'), assistant(use('a')), user(result('a')), assistant(use('a-2')), user(result('a-2'))];
  t.same(repairTranscript([...taken, assistant(use('a')), user(result('a'))]).messages, [
    ...taken,
    assistant(use('a-3')),
    user(result('a-3')),
  ]);
});

t.test('what was appended for a call with an id of its own is its result at the next read', async (t) => {
  const stored = [user('hi'), assistant(use('a')), user(result('a')), assistant(use('a'))];
  const { appended } = repairTranscript(stored);
  t.match(appended, [interrupted('a-2')]);
  const again = repairTranscript([...stored, ...appended]);
  t.same(again.appended, []);
  t.match(again.messages.at(-1), interrupted('a-2'));
});

t.test(
  'a transcript that opens with the assistant, also once orphans are gone, gets a user message before it',
  async (t) => {
    for (const transcript of [[assistant('hello')], [user(result('gone')), assistant('hello')]]) {
      const { messages } = repairTranscript(transcript);
      t.match(messages, [{ role: 'user', content: [{ type: 'text' }] }, assistant('hello')]);
    }
  },
);

t.test('an empty transcript stays empty', async (t) => {
  t.same(repairTranscript([]), { messages: [], repaired: false, appended: [] });
});

t.test(
  'whatever the transcript: it is not touched, a second repair finds nothing, and what is appended is the end',
  async (t) => {
    fc.assert(
      fc.property(anyTranscript, (transcript) => {
        const once = repairTranscript(deepFreeze(transcript));
        const twice = repairTranscript(once.messages);
        const appendedIsTheEnd = once.appended.every((message, index) => {
          return once.messages.at(index - once.appended.length) === message;
        });
        return !twice.repaired && appendedIsTheEnd && (once.repaired || once.messages.length === transcript.length);
      }),
      { numRuns: 1000 },
    );
    t.pass();
  },
);

t.test('a store that appends what it is told to holds a transcript that needs nothing more at its end', async (t) => {
  fc.assert(
    fc.property(anyTranscript, (transcript) => {
      const stored = [...transcript, ...repairTranscript(transcript).appended];
      return repairTranscript(stored).appended.length === 0;
    }),
    { numRuns: 1000 },
  );
  t.pass();
});
