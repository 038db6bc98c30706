import t from 'tap';
import { addOwn, asksOf, EMPTY, failOwn, fold } from '../../console/src/model/fold.js';
import type { Conversation, Item, ToolItem } from '../../console/src/model/items.js';
import type { DurableEvent, ServerEvent } from '../../src/shared/protocol.js';

const USAGE = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0 };

function numbered(events: DurableEvent[], from = 1): ServerEvent[] {
  return events.map((event, place) => ({ ...event, seq: from + place }));
}

const asked = (callId: string): DurableEvent => ({
  type: 'tool:approval_required',
  turn: 1,
  callId,
  name: 'run_command',
  server: 'workspace',
  args: { command: 'ls' },
  position: 1,
  total: 1,
  expiresAt: 5,
});
const end = (turn: number): DurableEvent => ({
  type: 'turn:end',
  turn,
  stopReason: 'end_turn',
  usage: USAGE,
  ms: 1,
  model: 'm',
});

const TURN = numbered([
  { type: 'message:accepted', id: 'm1', turn: 1, queued: 0, said: { text: 'do it' } },
  { type: 'turn:start', turn: 1 },
  { type: 'text', turn: 1, block: 0, text: 'I will.' },
  asked('c1'),
  { type: 'tool:approved', callId: 'c1', by: 'user' },
  { type: 'tool:start', callId: 'c1', name: 'run_command', server: 'workspace', args: { command: 'ls' } },
  { type: 'tool:result', callId: 'c1', ok: true, content: [{ type: 'text', text: 'a' }], ms: 3 },
  { type: 'text', turn: 1, block: 2, text: 'Done.' },
  end(1),
]);

const print = (offset: number, text: string): ServerEvent => ({
  type: 'tool:output',
  callId: 'c1',
  stream: 'stdout',
  offset,
  text,
});
const delta = (offset: number, text: string): ServerEvent => ({
  type: 'text:delta',
  turn: 1,
  block: 0,
  offset,
  text,
});
const kinds = ({ items }: Conversation): string[] => items.map(({ kind }) => kind);
const texts = ({ items }: Conversation): (string | undefined)[] =>
  items.flatMap((item) => (item.kind === 'text' || item.kind === 'user' ? [item.text] : []));
const call = ({ items }: Conversation): ToolItem => items.find((item): item is ToolItem => item.kind === 'tool')!;

t.test('the same view comes of events one by one, in pieces, and twice', async (t) => {
  const whole = fold(EMPTY, TURN);
  t.same(kinds(whole), ['user', 'text', 'tool', 'text', 'end']);
  t.equal(whole.seq, 9);
  t.same(
    TURN.reduce((view, event) => fold(view, [event]), EMPTY),
    whole,
  );
  for (let cut = 0; cut <= TURN.length; cut++) {
    const first = fold(EMPTY, TURN.slice(0, cut));
    t.same(fold(first, TURN), whole, 'a replay that begins too early');
  }
  t.same(kinds(EMPTY), [], 'nothing is changed in place');
});

t.test('streamed text is applied at its offset, and its finished block is shown once', async (t) => {
  let view = fold(EMPTY, [...TURN.slice(0, 2), delta(0, 'I '), delta(2, 'wi')]);
  t.same(texts(view), ['do it', 'I wi']);
  view = fold(view, [delta(0, 'I will')]);
  t.same(texts(view), ['do it', 'I will'], 'whole again after a reconnect');
  view = fold(view, [delta(2, 'wi')]);
  t.same(texts(view), ['do it', 'I will'], 'an old piece takes nothing back');
  view = fold(view, [delta(40, 'far')]);
  t.same(texts(view), ['do it', 'I will'], 'a gap is waited for');
  view = fold(view, TURN.slice(2, 3));
  t.same(texts(view), ['do it', 'I will.']);
  view = fold(view, [delta(6, '!!!')]);
  t.same(texts(view), ['do it', 'I will.'], 'what is finished does not grow');
});

t.test('a block that a crash has cut is not kept, and thinking is', async (t) => {
  const view = fold(EMPTY, [
    ...TURN.slice(0, 2),
    { type: 'thinking:delta', turn: 1, block: 0, offset: 0, text: 'hm' },
    { type: 'text:delta', turn: 1, block: 1, offset: 0, text: 'I wa' },
    ...numbered([{ type: 'text', turn: 1, block: 1_000, text: 'Again.' }, end(1)], 3),
  ]);
  t.same(kinds(view), ['user', 'thinking', 'text', 'end']);
  t.same(texts(view), ['do it', 'Again.']);
  t.match(view.items[1], { done: true });
});

t.test('a message is pale until it is stored, stands in line behind a turn, and comes in with its own', async (t) => {
  let view = addOwn(fold(EMPTY, TURN.slice(0, 3)), 'm2', 'and then');
  t.match(view.line, [{ text: 'and then', state: 'sending' }]);
  view = fold(
    view,
    numbered([{ type: 'message:accepted', id: 'm2', turn: 2, queued: 1, said: { text: 'and then' } }], 4),
  );
  t.match(view.line, [{ text: 'and then', state: 'stored', turn: 2 }]);
  t.same(kinds(view), ['user', 'text']);
  view = fold(view, numbered([end(1), { type: 'turn:start', turn: 2 }], 5));
  t.same(kinds(view), ['user', 'text', 'end', 'user']);
  t.equal(view.turn, 2);
  t.same(view.line, []);
  const failed = failOwn(addOwn(view, 'm3', 'no'), 'm3', { code: 'ERR_QUOTA', message: 'used up' });
  t.match(failed.line, [{ state: 'failed', error: { code: 'ERR_QUOTA' } }]);
});

t.test('what waits is asked once, however it is told, and closes with its answer', async (t) => {
  const { type: _type, ...open } = asked('c1') as Extract<DurableEvent, { type: 'tool:approval_required' }>;
  const ready: ServerEvent = {
    type: 'session:ready',
    session: 's',
    seq: 4,
    resumed: true,
    model: 'm',
    pending: [{ kind: 'approval', ...open }],
    limits: { maxFrameBytes: 1, maxInFlight: 5 },
    user: 'ada',
    role: 'user',
  };
  let view = fold(EMPTY, [ready, ...TURN.slice(0, 4)]);
  t.equal(asksOf(view).length, 1);
  t.same(kinds(view), ['user', 'text', 'tool'], 'where it was asked');
  t.match(asksOf(fold(EMPTY, [ready, ...TURN.slice(3, 4)])), [{ callId: 'c1' }]);
  t.match(asksOf(fold({ ...EMPTY, seq: 4 }, [ready])), [{ callId: 'c1' }], 'the log no longer reaches back to it');
  view = fold(view, numbered([{ ...asked('c1'), args: { command: 'ls -a' } } as DurableEvent], 5));
  t.match(asksOf(view), [{ args: { command: 'ls -a' } }], 'asked anew after the tool has changed');
  view = fold(view, numbered([{ type: 'tool:denied', callId: 'c1', by: 'user', reason: 'no' }], 6));
  t.same(asksOf(view), []);
  t.match(call(view), { state: 'denied', reason: 'no' });
});

t.test('what a tool prints is kept up to its end, and no more of it', async (t) => {
  let view = fold(EMPTY, [...TURN.slice(0, 6), print(0, 'one'), print(2, 'e two'), print(0, 'on')]);
  t.equal(call(view).output.stdout?.text, 'one two');
  view = fold(view, [print(7, 'x'.repeat(10_000_000))]);
  t.equal(call(view).output.stdout?.text.length, 65_536);
  t.equal(call(view).output.stdout?.length, 10_000_007);
});

t.test('after a gap in the log the transcript takes the place of what was shown', async (t) => {
  const view = fold(fold(EMPTY, TURN), [
    {
      type: 'session:ready',
      session: 's',
      seq: 50,
      resumed: true,
      model: 'm',
      pending: [],
      limits: { maxFrameBytes: 1, maxInFlight: 5 },
      user: 'ada',
      role: 'user',
      reset: true,
      transcript: [
        { role: 'user', content: [{ type: 'text', text: 'old' }] },
        {
          role: 'assistant',
          content: [{ type: 'tool_use', id: 'c9', name: 'workspace__read_file', input: { path: 'a' } }],
        },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 'c9', is_error: true, content: 'no such file' }],
        },
        { role: 'assistant', content: [{ type: 'text', text: 'It is not there.' }] },
      ],
      transcriptNext: '7',
    },
  ]);
  t.same(kinds(view), ['user', 'tool', 'text']);
  t.match(call(view), { name: 'read_file', server: 'workspace', state: 'failed', content: [{ text: 'no such file' }] });
  t.same([view.seq, view.earlier], [50, '7']);
});

t.test('a cleared history leaves one sentence, and an unknown event leaves nothing', async (t) => {
  const view = fold(fold(EMPTY, TURN), [
    ...numbered([{ type: 'history:cleared' }], 10),
    { type: 'files:changed', seq: 11 } as unknown as ServerEvent,
    { type: 'later' } as unknown as ServerEvent,
  ]);
  t.same(kinds(view), ['notice']);
  t.equal(view.seq, 11);
});

t.test('2,000 pieces of text beside 10,000 items take a fraction of a second', async (t) => {
  const items: Item[] = Array.from({ length: 10_000 }, (_, n) => ({
    kind: 'text',
    key: `old:${n}`,
    turn: 0,
    text: 'x',
    done: true,
  }));
  const pieces: ServerEvent[] = Array.from({ length: 2_000 }, (_, n) => ({
    type: 'text:delta',
    turn: 1,
    block: 0,
    offset: n * 4,
    text: 'word',
  }));
  const before = performance.now();
  let view: Conversation = { ...EMPTY, items };
  // A page paints 60 times a second.
  for (let at = 0; at < pieces.length; at += 34) view = fold(view, pieces.slice(at, at + 34));
  t.equal((view.items.at(-1) as { text: string }).text.length, 8_000);
  t.ok(performance.now() - before < 3_000, `${Math.round(performance.now() - before)} ms`);
});
