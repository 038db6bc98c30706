import t from 'tap';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import { TurnFilter } from '../../../src/front/turn-filter.js';
import { frameOf, USAGE } from './test-agent.js';

const end = (turn: number): DurableEvent => ({
  type: 'turn:end',
  turn,
  stopReason: 'end_turn',
  usage: USAGE,
  ms: 1,
  model: 'm',
});

function taken(filter: TurnFilter, events: DurableEvent[]): string[] {
  return events.flatMap((event, index) =>
    filter.take(frameOf({ ...event, seq: index + 1 })) ? [`${index + 1} ${event.type}`] : [],
  );
}

t.test('a queued turn takes no event of the turn before it, nor of those after it', async (t) => {
  const filter = new TurnFilter('mine');
  const events: DurableEvent[] = [
    { type: 'message:accepted', id: 'other', turn: 1, queued: 0 },
    { type: 'turn:start', turn: 1 },
    { type: 'message:accepted', id: 'mine', turn: 2, queued: 1 },
    { type: 'tool:approved', callId: 'c1', by: 'policy' },
    { type: 'tool:result', callId: 'c1', ok: true, content: [], ms: 1 },
    end(1),
    { type: 'history:cleared' },
    { type: 'turn:start', turn: 2 },
    { type: 'tool:denied', callId: 'c2', by: 'policy' },
    { type: 'message:accepted', id: 'third', turn: 3, queued: 1 },
    { type: 'text', turn: 2, block: 0, text: 'x' },
    end(2),
    { type: 'turn:start', turn: 3 },
  ];
  t.strictSame(taken(filter, events), [
    '3 message:accepted',
    '8 turn:start',
    '9 tool:denied',
    '11 text',
    '12 turn:end',
  ]);
  t.equal(filter.state, 'ended');
  t.equal(filter.turn, 2);
});

t.test('a turn that is followed from the middle of a log is taken from its first event that is left', async (t) => {
  const filter = new TurnFilter('mine');
  filter.follow(2);
  const delta = frameOf({ type: 'text:delta', turn: 2, block: 0, offset: 0, text: 'x' });
  t.notOk(filter.take(delta));
  const events: DurableEvent[] = [
    end(1),
    { type: 'text', turn: 2, block: 1, text: 'x' },
    { type: 'tool:denied', callId: 'c2', by: 'policy' },
  ];
  t.strictSame(taken(filter, events), ['2 text', '3 tool:denied']);
  t.ok(filter.take(delta));
});
