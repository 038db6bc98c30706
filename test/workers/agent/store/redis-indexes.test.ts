import t from 'tap';
import { IndexMoves, type IndexMove } from '../../../../workers/agent/store/redis-indexes.js';

const move = (session: string, at: number): IndexMove => ({ session, user: 'local', at });

t.test('moves are sent together, of each session only the newest', async (t) => {
  const moved = await new Promise<readonly IndexMove[]>((resolve) => {
    const moves = new IndexMoves(resolve);
    moves.add(move('a', 1));
    moves.add(move('b', 2));
    moves.add(move('a', 3));
  });
  t.same(moved, [move('a', 3), move('b', 2)]);
});

t.test('a flush sends the pending moves at once, and only once', async (t) => {
  const batches: (readonly IndexMove[])[] = [];
  const moves = new IndexMoves((batch) => batches.push(batch));
  moves.flush();
  moves.add(move('a', 1));
  moves.flush();
  moves.flush();
  t.same(batches, [[move('a', 1)]]);
});

t.test('a full batch is sent without waiting for the timer', async (t) => {
  const batches: (readonly IndexMove[])[] = [];
  const moves = new IndexMoves((batch) => batches.push(batch));
  for (let session = 0; session < 1_100; session++) moves.add(move(String(session), session));
  t.same(
    batches.map(({ length }) => length),
    [500, 500],
  );
  moves.flush();
  t.equal(batches.at(-1)?.length, 100);
});
