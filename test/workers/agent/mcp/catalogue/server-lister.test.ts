import t from 'tap';
import pino from 'pino';
import { FairleadError } from '../../../../../src/shared/errors.js';
import { deferred, within, type Deferred } from '../../../../helpers/processes.js';
import type { ServerListing } from '../../../../../workers/agent/contract/mcp.js';
import { ServerLister, type ListedTools } from '../../../../../workers/agent/mcp/catalogue/server-lister.js';

interface Bench {
  lister: ServerLister;
  news: ServerListing[];
  /** How often it was asked. */
  lists: () => number;
  asked: (times: number) => Promise<void>;
  change: () => void;
}

const FAST = { minGapMs: 1, firstBackoffMs: 1, maxBackoffMs: 4, ageMs: 100_000, minAgeMs: 0 };

function make(
  t: { teardown: (fn: () => void) => unknown },
  list: (time: number) => Promise<ListedTools> | ListedTools,
): Bench {
  const news: ServerListing[] = [];
  const waiting: { times: number; done: Deferred<void> }[] = [];
  let lists = 0;
  let change: (() => void) | undefined;
  const lister = new ServerLister({
    servers: ['s'],
    list: async () => {
      const time = ++lists;
      for (const { times, done } of waiting) if (lists >= times) done.resolve();
      return list(time);
    },
    watch: (_server, onChanged) => (change = onChanged),
    tell: (told) => void news.push(told),
    log: pino({ level: 'silent' }),
    times: FAST,
  });
  t.teardown(() => lister.close());
  const asked = async (times: number): Promise<void> => {
    const done = deferred<void>();
    waiting.push({ times, done });
    if (lists >= times) done.resolve();
    await within(done.promise, 10_000, () => `asked ${lists} times only`);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { lister, news, lists: () => lists, asked, change: () => change?.() };
}

const tools = (name: string): ListedTools => ({ tools: [{ name, description: '', inputSchema: {} }] });

t.test('a server that is down is asked again until it answers; an unchanged list is reported once', async (t) => {
  const { lister, news, asked } = make(t, (time) => {
    if (time < 4) throw new FairleadError('ERR_UNAVAILABLE', 'away');
    return tools('a');
  });
  lister.start();
  await asked(4);
  t.match(news, [
    { server: 's', down: 'away' },
    { server: 's', tools: [{ name: 'a' }] },
  ]);
  t.equal(news.length, 2);
});

t.test('ten thousand announced changes are one list, and one more for those that came meanwhile', async (t) => {
  const gate = deferred<void>();
  const { lister, lists, asked, change, news } = make(t, async (time) => {
    if (time === 2) await gate.promise;
    return tools(`t${time}`);
  });
  lister.start();
  await asked(1);
  for (let word = 0; word < 10_000; word++) change();
  await asked(2);
  for (let word = 0; word < 10_000; word++) change();
  gate.resolve();
  await asked(3);
  t.equal(lists(), 3);
  t.match(news.at(-1), { tools: [{ name: 't3' }] });
});

t.test('an expired list is read again, one that holds for ever is not', async (t) => {
  const aging = make(t, () => ({ ...tools('a'), ttlMs: 1 }));
  const lasting = make(t, () => ({ ...tools('a'), ttlMs: Infinity }));
  lasting.lister.start();
  aging.lister.start();
  await aging.asked(4);
  t.equal(aging.news.length, 1);
  t.equal(lasting.lists(), 1);
  lasting.lister.refresh('s');
  await lasting.asked(2);
});

t.test('a server with a login for each user is reported as such', async (t) => {
  const { lister, news, asked } = make(t, () => {
    throw new FairleadError('ERR_MCP_LOGIN', 'log in');
  });
  lister.start();
  await asked(1);
  t.same(news, [{ server: 's', perUser: true }]);
});

t.test('after a close nothing is listed or reported', async (t) => {
  const gate = deferred<void>();
  const { lister, news, lists, asked } = make(t, async () => {
    await gate.promise;
    throw new FairleadError('ERR_UNAVAILABLE', 'away');
  });
  lister.start();
  await asked(1);
  lister.close();
  gate.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  lister.refresh('s');
  lister.refresh('unknown');
  t.same(news, []);
  t.equal(lists(), 1);
});

t.test(
  'a server that is added is listed at once, a changed one anew, and of one that is gone nothing is told',
  async (t) => {
    const { lister, news, asked } = make(t, () => tools('a'));
    lister.start();
    await asked(1);
    lister.replace(['s', 'new'], []);
    await asked(2);
    t.match(news, [{ server: 's' }, { server: 'new' }]);
    lister.replace(['s', 'new'], ['s']);
    await asked(3);
    t.match(news.slice(2), [{ server: 's' }], 'what it listed before says nothing of the new one');
    lister.replace(['new'], []);
    lister.refresh('s');
    lister.refresh('new');
    await asked(4);
    t.equal(news.length, 3);
  },
);

t.test('a list that is under way when its server changes counts no more', async (t) => {
  const gate = deferred<void>();
  const { lister, news, asked } = make(t, async (time) => {
    if (time === 1) await gate.promise;
    return tools(time === 1 ? 'old' : 'new');
  });
  lister.start();
  await asked(1);
  lister.replace(['s'], ['s']);
  await asked(2);
  gate.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  t.match(news, [{ server: 's', tools: [{ name: 'new' }] }]);
  t.equal(news.length, 1);
});
