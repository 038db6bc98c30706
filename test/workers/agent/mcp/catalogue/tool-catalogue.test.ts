import t from 'tap';
import pino from 'pino';
import { parseConfig } from '../../../../../src/config.js';
import { FairleadError } from '../../../../../src/errors.js';
import type { ToolDefinition } from '../../../../../src/tool-definition.js';
import { deferred } from '../../../../helpers/processes.js';
import { NOBODY } from '../../../../../workers/agent/mcp/catalogue/nobody.js';
import { SignalBook } from '../../../../../workers/agent/mcp/catalogue/signal-book.js';
import type { ListedTools } from '../../../../../workers/agent/mcp/catalogue/server-lister.js';
import { ToolCatalogue, type ToolCatalogueOptions } from '../../../../../workers/agent/mcp/catalogue/tool-catalogue.js';

const config = parseConfig(
  {
    mcpServers: {
      common: { url: 'https://a.example/mcp' },
      mine: { url: 'https://b.example/mcp', auth: { type: 'oauth' } },
    },
  },
  {},
);
const tool = (name: string): ToolDefinition => ({ name, description: name, inputSchema: { type: 'object' } });
const login = (): FairleadError => new FairleadError('ERR_MCP_LOGIN', 'log in');
const of = (user: string): { user: string; session: string } => ({ user, session: `of ${user}` });
const signal = new AbortController().signal;

function make(list: ToolCatalogueOptions['list'], times: ToolCatalogueOptions['times'] = {}) {
  const troubles: string[] = [];
  const signals = new SignalBook(Object.keys(config.mcpServers));
  const log = pino({ level: 'silent' });
  const onTrouble = (server: string): void => void troubles.push(server);
  const catalogue = new ToolCatalogue({ config, signals, list, onTrouble, log, times });
  catalogue.set({ common: [tool('all')] }, { mine: { perUser: true } });
  const names = (user: string): string[] => catalogue.toolSet(user).tools.map(({ name }) => name);
  return { catalogue, names, troubles, signals };
}

t.test('whoever has not logged in is offered to, and has the tools once he has', async (t) => {
  const { catalogue, names } = make(async (_caller, _server, { asks }) => {
    if (!asks) throw login();
    return { tools: [tool('own')] };
  });
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all', 'connect_mine']);
  t.equal(catalogue.note('ada'), '', 'a login that is missing is no outage');
  t.same((await catalogue.connect(of('ada'), 'mine', NOBODY, signal)).length, 1);
  t.same(names('ada'), ['all', 'own']);
  await catalogue.ready(of('bob'));
  t.same(names('bob'), ['all', 'connect_mine'], 'each user has his own');
});

t.test('a user who is logged in has his tools from the first turn on, asked for once by all who wait', async (t) => {
  let lists = 0;
  const { catalogue, names } = make(async () => {
    lists++;
    return { tools: [tool('own')] };
  });
  await Promise.all([catalogue.ready(of('ada')), catalogue.ready(of('ada'))]);
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all', 'own']);
  t.equal(lists, 1);
});

t.test('users with the same tools share one set', async (t) => {
  const { catalogue } = make(async () => ({ tools: [tool('own')] }));
  await Promise.all([catalogue.ready(of('ada')), catalogue.ready(of('bob'))]);
  t.equal(catalogue.toolSet('ada'), catalogue.toolSet('bob'));
});

t.test('a server that does not answer holds a turn up for a moment only, and is there when it does', async (t) => {
  const answer = deferred<ListedTools>();
  const { catalogue, names } = make(() => answer.promise, { waitMs: 1 });
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all']);
  const again = catalogue.ready(of('ada'));
  await again;
  answer.resolve({ tools: [tool('own')] });
  await answer.promise;
  await new Promise((resolve) => setImmediate(resolve));
  t.same(names('ada'), ['all', 'own']);
});

t.test('a login that comes while the server is asked is not undone by the answer to the old question', async (t) => {
  const gate = deferred<void>();
  let lists = 0;
  const { catalogue, names } = make(async () => {
    if (++lists > 1) return { tools: [tool('own')] };
    await gate.promise;
    throw login();
  });
  const first = catalogue.ready(of('ada'));
  catalogue.forget('ada', 'mine');
  gate.resolve();
  await first;
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all', 'own']);
});

t.test('a user’s server that fails is told of, and its tools that were known say that they are gone', async (t) => {
  let fails = false;
  const { catalogue, names } = make(
    async () => {
      if (fails) throw new FairleadError('ERR_UNAVAILABLE', 'it is away');
      return { tools: [tool('own')], ttlMs: 1 };
    },
    { minAgeMs: 0, troubleGapMs: 0 },
  );
  await catalogue.ready(of('ada'));
  fails = true;
  catalogue.noteTrouble('ada', 'mine', 'it is away');
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all']);
  t.match(catalogue.toolSet('ada').find('own'), { gone: 'it is away' });
  t.match(catalogue.note('ada'), /not available now.*mine/);
  t.equal(catalogue.note('bob'), '');
});

t.test('trouble with a server of all is told to whoever lists it, not more often than that helps', async (t) => {
  const { catalogue, troubles, signals } = make(async () => ({ tools: [] }));
  for (let call = 0; call < 5; call++) catalogue.noteTrouble('ada', 'common', 'away');
  catalogue.noteTrouble('ada', 'invented', 'away');
  t.same(troubles, ['common']);
  t.match(signals.read(), [{ name: 'common', state: 'down', lastError: 'away' }]);
  catalogue.noteGood('common');
  t.match(signals.read(), [{ name: 'common', state: 'healthy' }]);
});

t.test('no more users than its bound are known at a time', async (t) => {
  let lists = 0;
  const { catalogue } = make(async () => {
    lists++;
    return { tools: [] };
  });
  for (let user = 0; user < 1_001; user++) await catalogue.ready(of(`u${user}`));
  await catalogue.ready(of('u1000'));
  t.equal(lists, 1_001);
  await catalogue.ready(of('u0'));
  t.equal(lists, 1_002, 'the one who was there first is asked for again');
});
