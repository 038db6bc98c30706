import t from 'tap';
import { IndexMoves, type IndexChanges, type IndexMove } from '../../../../workers/agent/store/redis-indexes.js';

const move = (session: string, at: number): IndexMove => ({ session, user: 'local', at });

t.test('moves are sent together, of each session only the newest', async (t) => {
  const { moves: moved } = await new Promise<IndexChanges>((resolve) => {
    const moves = new IndexMoves(resolve);
    moves.add(move('a', 1));
    moves.add(move('b', 2));
    moves.add(move('a', 3));
  });
  t.same(moved, [move('a', 3), move('b', 2)]);
});

t.test('a flush sends the pending moves at once, and only once', async (t) => {
  const batches: (readonly IndexMove[])[] = [];
  const moves = new IndexMoves((batch) => batches.push(batch.moves));
  moves.flush();
  moves.add(move('a', 1));
  moves.flush();
  moves.flush();
  t.same(batches, [[move('a', 1)]]);
});

t.test('a full batch is sent without waiting for the timer', async (t) => {
  const batches: (readonly IndexMove[])[] = [];
  const moves = new IndexMoves((batch) => batches.push(batch.moves));
  for (let session = 0; session < 1_100; session++) moves.add(move(String(session), session));
  t.same(
    batches.map(({ length }) => length),
    [500, 500],
  );
  moves.flush();
  t.equal(batches.at(-1)?.length, 100);
});

t.test('wake-ups that are over are dropped together with the moves, but for one that is set again', async (t) => {
  const sent: IndexChanges[] = [];
  const moves = new IndexMoves((changes) => sent.push(changes));
  moves.dropWakeUp('a');
  moves.dropWakeUp('b');
  moves.add(move('a', 1));
  moves.keepWakeUp('b');
  t.same(sent, []);
  moves.flush();
  t.same(sent, [{ moves: [move('a', 1)], awake: ['a'] }]);
});
