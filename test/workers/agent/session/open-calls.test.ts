import t from 'tap';
import { closeAll, closeOverdue } from '../../../../workers/agent/session/open-calls.js';
import type { OpenCall } from '../../../../workers/agent/store/store.js';
import { newProgress } from '../../../../workers/agent/log/progress.js';

const call = (callId: string, more: Partial<OpenCall>): OpenCall => ({
  callId,
  name: 'run_command',
  server: 'workspace',
  args: {},
  position: 0,
  total: 1,
  ...more,
});

function rowWith(...calls: OpenCall[]) {
  return { openTurns: [{ turn: 1, progress: { ...newProgress('demo'), calls } }] };
}

t.test('a call that a crash cut off has the time since it started; one that 0.2.0 started has none', async (t) => {
  const row = rowWith(call('new', { startedAt: 1_000 }), call('old', {}), call('ahead', { startedAt: 9_000 }));
  const { events } = closeOverdue(row, true, 5_000);
  t.match(events, [
    { type: 'tool:result', callId: 'new', ok: false, ms: 4_000 },
    { type: 'tool:result', callId: 'old', ms: 0 },
    { type: 'tool:result', callId: 'ahead', ms: 0 }, // the clock was set back
  ]);
});

t.test('a call that waits for its server’s question when its turn ends has its time, too', async (t) => {
  const startedAt = Date.now() - 60_000;
  const { events } = closeAll(rowWith(call('asks', { startedAt, input: { requests: {}, answers: {}, round: 1 } })));
  const [event] = events;
  t.ok(event?.type === 'tool:result' && event.ms >= 60_000, JSON.stringify(event));
});
