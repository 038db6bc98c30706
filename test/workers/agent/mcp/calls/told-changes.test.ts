import t from 'tap';
import { toldChanges } from '../../../../../workers/agent/mcp/calls/told-changes.js';

const told = (value: unknown): unknown => toldChanges({ 'fairlead/changes': value });

t.test('what a sandbox says that it has changed is taken whole or not at all', async (t) => {
  const good = { changes: [{ path: 'a', change: 'created', size: 1 }], truncated: true };
  t.same(told(good), good);
  t.equal(toldChanges(undefined), undefined);
  for (const bad of [
    null,
    [],
    {},
    { changes: [] },
    { changes: [{ path: '', change: 'created' }] },
    { changes: [{ path: 'a', change: 'moved', from: '/etc' }] },
    { changes: [{ path: 'x'.repeat(2_000), change: 'created' }] },
    { changes: [{ path: 'a', change: 'created', size: -1 }] },
    { changes: Array.from({ length: 201 }, () => ({ path: 'a', change: 'deleted' })) },
  ]) {
    t.equal(told(bad), undefined, JSON.stringify(bad)?.slice(0, 60));
  }
  t.same(told({ changes: [{ path: 'a', change: 'created', more: 1 }] }), {
    changes: [{ path: 'a', change: 'created' }],
  });
});
