import t from 'tap';
import { NO_STANDING } from '../../../src/shared/person.js';
import { parseConfig } from '../../../src/shared/config.js';
import { registry } from '../../../src/shared/metrics.js';
import { ServerBook, type Published } from '../../../src/boot/server-book.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';

const config = parseConfig(
  {
    allowHostCommands: true,
    mcpServers: {
      box: { image: 'x' },
      web: { url: 'https://a.example/mcp', tools: { deny: ['b'] } },
      own: { url: 'https://b.example/mcp' },
      run: { command: 'x' },
    },
  },
  {},
);
const tool = (name: string): ToolDefinition => ({ name, description: '', inputSchema: {} });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function make() {
  registry.removeSingleMetric('fairlead_mcp_server_state');
  const published: Published[] = [];
  return { published, book: new ServerBook(config, (each) => void published.push(each)) };
}

t.test(
  'news of one turn of the event loop are published together, in the configuration’s order; what is not new is not',
  async (t) => {
    const { book, published } = make();
    book.note({ server: 'run', tools: [tool('r')] });
    book.note({ server: 'web', tools: [tool('a')], prompts: true });
    book.note({ server: 'invented', tools: [] });
    await turn();
    t.equal(published.length, 1);
    t.same(Object.keys(published[0]!.catalogue), ['web', 'run']);
    t.same(published[0]!.notes, { web: { prompts: true } });
    book.note({ server: 'web', tools: [tool('a')], prompts: true });
    await turn();
    t.equal(published.length, 1);
  },
);

t.test('a server that goes down keeps its tools on the list, marked as down, until it is back', async (t) => {
  const { book } = make();
  book.note({ server: 'web', tools: [tool('a')], resources: true });
  book.note({ server: 'web', down: 'away' });
  t.match(book.published(), {
    catalogue: { web: [{ name: 'a' }] },
    notes: { web: { down: 'away', resources: true } },
  });
  t.match(book.health([], NO_STANDING)[1], { state: 'reconnecting', lastError: 'away' });
  book.note({ server: 'web', tools: [tool('a')], resources: true });
  t.same(book.published().notes, { web: { resources: true } });
  t.match(book.health([], NO_STANDING)[1], { state: 'healthy' });
});

t.test('health joins what the threads know: one thread’s trouble is not yet the server’s', async (t) => {
  const { book } = make();
  book.note({ server: 'box', tools: [tool('x')] });
  book.note({ server: 'web', tools: [tool('a'), tool('b')] });
  const good = { state: 'healthy' as const, latencyMs: 10, era: 'modern' as const };
  const bad = { state: 'down' as const, latencyMs: 30, lastError: 'cut' };
  const of = (...signals: (typeof good | typeof bad)[]) =>
    book.health(
      signals.map((each) => ({ health: { web: each }, own: [] })),
      NO_STANDING,
    )[1];
  t.match(of(good, bad), { state: 'degraded', latencyMs: 20, era: 'modern', lastError: 'cut', tools: [{ name: 'a' }] });
  t.equal(of(good)?.tools.length, 1, 'what is denied is not shown');
  t.match(of(bad, bad), { state: 'down' });
  t.match(book.health([], NO_STANDING)[0], { name: 'box', kind: 'image', state: 'healthy', tools: [{ name: 'x' }] });
  t.match(book.health([], NO_STANDING)[3], { name: 'run', kind: 'command', state: 'reconnecting', tools: [] });
});

t.test('a server with a login for each user has the health that the user’s own thread knows', async (t) => {
  const { book } = make();
  book.note({ server: 'own', perUser: true });
  const unknown = { health: {}, own: [{ server: 'own', note: { perUser: true } }] };
  const asked = { health: {}, own: [{ server: 'own', note: { perUser: true, needsLogin: true } }] };
  const known = { health: {}, own: [{ server: 'own', note: { perUser: true }, tools: [tool('a')] }] };
  t.match(book.health([unknown, asked], NO_STANDING)[2], { state: 'needs_login', tools: [] });
  t.match(book.health([unknown, known], NO_STANDING)[2], { state: 'healthy', tools: [{ name: 'a' }] });
});

t.test('a server that is kept for groups is there for their members alone', async (t) => {
  registry.removeSingleMetric('fairlead_mcp_server_state');
  const mcpServers = { all: { image: 'x' }, lab: { image: 'y', groups: ['research'] } };
  const book = new ServerBook(parseConfig({ mcpServers }, {}), () => undefined);
  book.note({ server: 'lab', tools: [tool('secret')] });
  const seen = (groups: string[]): string[] => book.health([], { role: 'user', groups }).map(({ name }) => name);
  t.same(seen(['research']), ['all', 'lab']);
  t.same(seen(['Research', 'ops']), ['all']);
  t.same(
    book.health([], { role: 'admin', groups: [] }).map(({ name }) => name),
    ['all'],
    'a role is no group',
  );
});
