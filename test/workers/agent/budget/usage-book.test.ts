import pino from 'pino';
import t, { type Test } from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { UsageBook } from '../../../../workers/agent/budget/usage-book.js';
import type { UsageBatch } from '../../../../workers/agent/store/ledger.js';

const ADA = { user: 'ada', groups: ['g'], session: 's' };
const USAGE = { inputTokens: 3, outputTokens: 2, cacheReadTokens: 1, cacheWriteTokens: 0 };

function newBook(t: Test) {
  const written: UsageBatch[] = [];
  const tried: string[] = [];
  const store = { away: false };
  const ledger = {
    addUsage: async (batch: UsageBatch): Promise<void> => {
      tried.push(batch.id);
      if (store.away) throw new FairleadError('ERR_UNAVAILABLE', 'away');
      written.push(batch);
    },
  };
  const book = new UsageBook({ ledger, keepDays: () => 7, log: pino({ level: 'silent' }) });
  t.teardown(() => book.close());
  return { book, written, tried, store };
}

t.test('answers and calls of one user, group and model become one entry', async (t) => {
  const { book, written } = newBook(t);
  book.noteAnswer(ADA, 'm', USAGE, 10);
  book.noteAnswer(ADA, 'm', USAGE, 5);
  book.noteAnswer({ ...ADA, user: 'bob' }, 'm', USAGE);
  book.noteCall(ADA, 'search/web', 7);
  await book.flush();
  t.match(written, [
    {
      keepDays: 7,
      entries: [
        { user: 'ada', groups: ['g'], model: 'm', counts: [6, 4, 2, 0, 15, 2, 0] },
        { user: 'bob', model: 'm', counts: [3, 2, 1, 0, 0, 1, 0] },
        { user: 'ada', model: 'search/web', counts: [0, 0, 0, 0, 7, 0, 1] },
      ],
    },
  ]);
  await book.flush();
  t.equal(written.length, 1, 'nothing new, nothing written');
});

t.test('what the store does not take is sent again, under the same id, and nothing is lost meanwhile', async (t) => {
  const { book, written, tried, store } = newBook(t);
  store.away = true;
  book.noteAnswer(ADA, 'm', USAGE);
  await book.flush();
  book.noteAnswer(ADA, 'm', USAGE);
  await book.flush();
  store.away = false;
  await book.close();
  t.equal(new Set(tried.slice(0, 3)).size, 1);
  const answers = written.flatMap(({ entries }) => entries.map(({ counts }) => counts[5]));
  t.same(answers, [1, 1]);
});
