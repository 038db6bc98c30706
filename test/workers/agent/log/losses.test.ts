import t from 'tap';
import { lossNotes, lossStep } from '../../../../workers/agent/log/losses.js';
import type { SessionRow } from '../../../../workers/agent/store/store.js';

type Row = Pick<SessionRow, 'losses'>;
const LOSS = { id: 'box.1', session: 's1', server: 'workspace', reason: 'out of memory' };

t.test('a loss is one event, however often it is told', async (t) => {
  const row: Row = {};
  const step = lossStep(row, { ...LOSS, since: 0, missing: ['a (a socket)'] });
  t.same(step?.events, [
    { type: 'sandbox:lost', server: 'workspace', reason: 'out of memory', since: 0, missing: ['a (a socket)'] },
  ]);
  Object.assign(row, step?.row);
  t.equal(lossStep(row, LOSS), undefined);
  t.ok(lossStep(row, { ...LOSS, id: 'box.2' }));
});

t.test('the next result of that server says it, and no other, and not twice', async (t) => {
  const row: Row = {};
  Object.assign(row, lossStep(row, { ...LOSS, since: 0, missing: ['a (a socket)'] })?.row);
  t.same(lossNotes(row, 'other'), { content: [], row: {} });
  const notes = lossNotes(row, 'workspace');
  const said =
    'The sandbox of workspace was replaced (out of memory). Files changed after 1970-01-01T00:00:00.000Z are lost, the others are back. Not saved: a (a socket).';
  t.same(notes.content, [{ type: 'text', text: `[${said}]` }]);
  Object.assign(row, notes.row);
  t.same(lossNotes(row, 'workspace'), { content: [], row: {} });
  t.equal(lossStep(row, LOSS), undefined, 'what was said is still known');
});

t.test('a row keeps the newest losses', async (t) => {
  const row: Row = {};
  for (let i = 0; i < 50; i++) Object.assign(row, lossStep(row, { ...LOSS, id: `box.${i}` })?.row);
  t.equal(row.losses?.length, 20);
  t.equal(row.losses?.at(-1)?.id, 'box.49');
});
