import t from 'tap';
import { Outbox } from '../../../../workers/agent/log/outbox.js';
import type { StreamingEvent } from '../../../../src/shared/protocol.js';

type Batch = { session: string; frames: { json: string; seq: number }[] }[];

function makeOutbox(): { outbox: Outbox; posted: Batch[]; nextPost: () => Promise<void> } {
  const posted: Batch[] = [];
  const waiting: (() => void)[] = [];
  const outbox = new Outbox((batch) => {
    posted.push(batch);
    for (const resolve of waiting.splice(0)) resolve();
  });
  return { outbox, posted, nextPost: () => new Promise((resolve) => waiting.push(resolve)) };
}

const delta = (offset: number, text: string, block = 0): StreamingEvent => ({
  type: 'text:delta',
  turn: 1,
  block,
  offset,
  text,
});
const output = (stream: 'stdout' | 'stderr', offset: number, text: string): StreamingEvent => ({
  type: 'tool:output',
  callId: 'c-1',
  stream,
  offset,
  text,
});
const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const textsOf = (batch: Batch | undefined): unknown[] =>
  (batch?.[0]?.frames ?? []).map(({ json }) => (JSON.parse(json) as { text?: string }).text);

void t.test('frames of one turn of the event loop are posted together, each session’s in order', async (t) => {
  const { outbox, posted } = makeOutbox();
  outbox.push('a', { json: '{"n":1}', seq: 1, type: 'text' });
  outbox.streaming('b', delta(0, 'x'));
  outbox.push('a', { json: '{"n":2}', seq: 2, type: 'text' });
  t.same(posted, []);
  await turnOfTheLoop();
  t.equal(posted.length, 1);
  t.same(
    posted[0]?.map(({ session, frames }) => [session, frames.map(({ seq }) => seq)]),
    [
      ['a', [1, 2]],
      ['b', [0]],
    ],
  );
  outbox.push('a', { json: '{}', seq: 3, type: 'text' });
  await turnOfTheLoop();
  t.equal(posted.length, 2);
});

void t.test('code that is about to block the event loop can wait until all is posted', async (t) => {
  const { outbox, posted } = makeOutbox();
  await outbox.sent();
  outbox.push('a', { json: '{"n":1}', seq: 1, type: 'text' });
  await outbox.sent();
  t.equal(posted.length, 1);
  outbox.push('a', { json: '{"n":2}', seq: 2, type: 'text' });
  outbox.flush();
  await outbox.sent();
  t.equal(posted.length, 2);
});

void t.test(
  'what begins a text is posted at once, and its continuations wait some milliseconds for each other',
  async (t) => {
    const { outbox, posted, nextPost } = makeOutbox();
    outbox.streaming('a', delta(0, 'a'));
    await turnOfTheLoop();
    t.equal(posted.length, 1);
    outbox.streaming('a', delta(1, 'b'));
    outbox.streaming('b', delta(7, 'x'));
    outbox.streaming('a', delta(2, 'c'));
    await nextPost();
    t.same(
      posted[1]?.map(({ session, frames }) => [
        session,
        frames.map(({ json }) => (JSON.parse(json) as StreamingEvent).text),
      ]),
      [
        ['a', ['bc']],
        ['b', ['x']],
      ],
    );
  },
);

void t.test('a durable event takes waiting continuations with it at once', async (t) => {
  const { outbox, posted } = makeOutbox();
  outbox.streaming('a', delta(0, 'a'));
  outbox.flush();
  outbox.streaming('a', delta(1, 'b'));
  outbox.push('b', { json: '{"text":"durable"}', seq: 1, type: 'text' });
  await turnOfTheLoop();
  t.same(
    posted[1]?.map(({ session }) => session),
    ['a', 'b'],
  );
});

void t.test('a piece that continues the last one of its block joins it', async (t) => {
  const { outbox, posted } = makeOutbox();
  outbox.streaming('a', delta(0, 'ab'));
  outbox.streaming('a', delta(2, 'cd'));
  outbox.streaming('a', delta(4, 'ef'));
  outbox.flush();
  t.same(JSON.parse(posted[0]![0]!.frames[0]!.json), delta(0, 'abcdef'));
  t.equal(posted[0]![0]!.frames.length, 1);
});

void t.test('pieces that do not continue stay apart', async (t) => {
  const { outbox, posted } = makeOutbox();
  outbox.streaming('a', delta(0, 'a'));
  outbox.streaming('a', delta(5, 'gap'));
  outbox.streaming('a', delta(0, 'other block', 1));
  outbox.streaming('a', { ...delta(11, 'thought', 1), type: 'thinking:delta' } as StreamingEvent);
  outbox.streaming('a', output('stdout', 0, 'out'));
  outbox.streaming('a', output('stdout', 3, 'more'));
  outbox.streaming('a', output('stderr', 7, 'err'));
  outbox.streaming('a', { ...output('stderr', 10, 'c2'), callId: 'c-2' } as StreamingEvent);
  outbox.flush();
  t.same(textsOf(posted[0]), ['a', 'gap', 'other block', 'thought', 'outmore', 'err', 'c2']);
});

void t.test('a durable event between two pieces keeps its place', async (t) => {
  const { outbox, posted } = makeOutbox();
  outbox.streaming('a', delta(0, 'a'));
  outbox.push('a', { json: '{"text":"durable"}', seq: 1, type: 'text' });
  outbox.streaming('a', delta(1, 'b'));
  outbox.flush();
  t.same(textsOf(posted[0]), ['a', 'durable', 'b']);
});

void t.test('an event that was handed in is not changed by what joins it', async (t) => {
  const { outbox } = makeOutbox();
  const first = delta(0, 'a');
  outbox.streaming('a', first);
  outbox.streaming('a', delta(1, 'b'));
  outbox.flush();
  t.equal(first.text, 'a');
});

void t.test('a flush posts now, once; an empty one posts nothing', async (t) => {
  const { outbox, posted } = makeOutbox();
  outbox.flush();
  t.same(posted, []);
  outbox.push('a', { json: '{}', seq: 1, type: 'text' });
  outbox.flush();
  t.equal(posted.length, 1);
  await turnOfTheLoop();
  t.equal(posted.length, 1);
});
