import t from 'tap';
import { TurnResult } from '../../../src/front/turn-result.js';
import { frameOf, USAGE } from './test-agent.js';

t.test('pending holds what was asked before and now, until it is answered', async (t) => {
  const result = new TurnResult([
    { kind: 'elicitation', requestId: 'r0', server: 's', mode: 'form', message: 'before' },
  ]);
  const ids = (): string[] => result.pending.map((item) => (item.kind === 'approval' ? item.callId : item.requestId));
  const asked = { name: 'n', server: 's', args: {}, position: 1, total: 1, expiresAt: 1 };
  result.take(frameOf({ type: 'tool:approval_required', seq: 1, turn: 1, callId: 'c1', ...asked }), false);
  result.take(
    frameOf({ type: 'elicitation:request', seq: 2, requestId: 'r1', server: 's', mode: 'url', message: 'm' }),
    true,
  );
  t.strictSame(ids(), ['r0', 'c1', 'r1']);
  t.strictSame(result.pending[2], { kind: 'elicitation', requestId: 'r1', server: 's', mode: 'url', message: 'm' });
  result.take(frameOf({ type: 'tool:denied', seq: 3, callId: 'c1', by: 'timeout' }), false);
  t.strictSame(ids(), ['r0', 'r1']);
  const end = { stopReason: 'cancelled' as const, usage: USAGE, ms: 1, model: 'm' };
  result.take(frameOf({ type: 'turn:end', seq: 4, turn: 1, ...end }), false);
  t.strictSame(ids(), []);
  t.equal(result.outcome, undefined, 'another turn’s end is not this one’s');
  result.take(frameOf({ type: 'turn:end', seq: 5, turn: 2, ...end }), true);
  t.match(result.outcome, { ok: true, finished: { turn: 2, stopReason: 'cancelled', text: '', tools: [] } });
});
