import t from 'tap';
import { createSlots, forgetThread, SlotLedger, type SlotCounts } from '../../../../src/shared/threads/shared-slots.js';

function belowTwo({ open }: SlotCounts): boolean {
  return open < 2;
}

const NONE: SlotCounts = { open: 0, long: 0, streams: 0, turns: 0 };

t.test('a slot of one thread counts for all, and those of another server do not', async (t) => {
  const memory = createSlots(2, 3);
  const at = (server: number, thread: number) => new SlotLedger(memory, { server, thread, threads: 3 });
  t.ok(at(1, 0).take(['open', 'long'], belowTwo));
  t.ok(at(1, 2).take(['open', 'long', 'streams'], belowTwo));
  t.notOk(at(1, 1).take(['open'], belowTwo));
  t.same(at(1, 1).counts, { open: 2, long: 2, streams: 1, turns: 0 });
  t.same(at(1, 1).own, NONE);
  t.same(at(0, 0).counts, NONE);
  at(1, 0).give(['open', 'long']);
  t.same(at(1, 1).counts, { open: 1, long: 1, streams: 1, turns: 0 });
});

t.test('what a thread held and waited for when it died is given back', async (t) => {
  const memory = createSlots(2, 2);
  const at = (server: number, thread: number) => new SlotLedger(memory, { server, thread, threads: 2 });
  for (const server of [0, 1]) for (const thread of [0, 1]) at(server, thread).take(['open', 'turns'], () => true);
  at(1, 0).noteWaiting(1);
  t.ok(at(1, 1).othersWait);
  forgetThread(memory, 0, 2);
  t.notOk(at(1, 1).othersWait);
  for (const server of [0, 1]) t.same(at(server, 1).counts, { ...NONE, open: 1, turns: 1 });
});
