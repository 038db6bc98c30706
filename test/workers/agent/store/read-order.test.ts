import t from 'tap';
import { ReadOrder } from '../../../../workers/agent/store/read-order.js';
import { deferred } from './store-backend.js';

t.test('a write overtakes the reads of its session that are under way, and no other', async (t) => {
  const order = new ReadOrder();
  const answer = deferred<void>();
  const asks: (() => boolean)[] = [];
  const read = (session: string): Promise<void> =>
    order.read(session, async (overtaken) => {
      asks.push(overtaken);
      await answer.promise;
    });
  const before = [read('a'), read('a'), read('b')];
  order.write('a');
  const after = [read('a')];
  order.write('nobody');
  t.strictSame(
    asks.map((ask) => ask()),
    [true, true, false, false],
  );
  answer.resolve();
  await Promise.all([...before, ...after]);
});

t.test('a read that has ended is overtaken by nothing, and its failure is its own', async (t) => {
  const order = new ReadOrder();
  let overtaken: (() => boolean) | undefined;
  const failing = order.read('a', async (ask) => {
    overtaken = ask;
    throw new Error('of the read');
  });
  await t.rejects(failing, { message: 'of the read' });
  order.write('a');
  t.equal(overtaken?.(), false);
});
