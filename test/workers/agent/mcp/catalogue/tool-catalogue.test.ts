import t from 'tap';
import pino from 'pino';
import { parseConfig } from '../../../../../src/shared/config.js';
import { FairleadError } from '../../../../../src/shared/errors.js';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';
import { deferred } from '../../../../helpers/processes.js';
import { NOBODY } from '../../../../../workers/agent/mcp/catalogue/nobody.js';
import { HealthBook } from '../../../../../workers/agent/mcp/catalogue/health-book.js';
import type { ListedTools } from '../../../../../workers/agent/mcp/catalogue/server-lister.js';
import { ToolCatalogue, type ToolCatalogueOptions } from '../../../../../workers/agent/mcp/catalogue/tool-catalogue.js';
import { SessionTools } from '../../../../../workers/agent/mcp/catalogue/session-tools.js';
import { setImmediate } from 'node:timers/promises';
import type { Published } from '../../../../../src/boot/server-book.js';

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

const HEARD_OF = { catalogue: { common: [tool('all')] }, notes: { mine: { perUser: true } } };

function make(
  list: ToolCatalogueOptions['list'],
  times: ToolCatalogueOptions['times'] = {},
  published: Published = HEARD_OF,
) {
  const troubles: string[] = [];
  const health = new HealthBook(() => Object.keys(config.mcpServers));
  const log = pino({ level: 'silent' });
  const onTrouble = (server: string): void => void troubles.push(server);
  const changed = new SessionTools({ timeoutMs: 10_000, shared: 'all', log });
  const catalogue = new ToolCatalogue({ config, health, list, changed, onTrouble, log, times });
  catalogue.set(published.catalogue, published.notes);
  const names = (user: string): string[] => catalogue.toolSet(of(user)).tools.map(({ name }) => name);
  return { catalogue, changed, names, troubles, health };
}

t.test('a user without a login is offered one, and has the tools after it', async (t) => {
  const { catalogue, names } = make(async (_caller, _server, { asks }) => {
    if (!asks) throw login();
    return { tools: [tool('own')] };
  });
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all', 'connect_mine']);
  t.equal(catalogue.note({ user: 'ada' }), '', 'a login that is missing is no outage');
  t.same((await catalogue.connect(of('ada'), 'mine', NOBODY, signal)).length, 1);
  t.same(names('ada'), ['all', 'own']);
  await catalogue.ready(of('bob'));
  t.same(names('bob'), ['all', 'connect_mine'], 'each user has tools of their own');
});

t.test('a logged-in user has the tools from the first turn on, and waiting turns share one list', async (t) => {
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
  t.equal(catalogue.toolSet(of('ada')), catalogue.toolSet(of('bob')));
});

t.test('a server that does not answer delays a turn for a moment only', async (t) => {
  const answer = deferred<ListedTools>();
  const { catalogue, names } = make(() => answer.promise, { waitMs: 1 });
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all']);
  const again = catalogue.ready(of('ada'));
  await again;
  answer.resolve({ tools: [tool('own')] });
  await answer.promise;
  await setImmediate();
  t.same(names('ada'), ['all', 'own']);
});

t.test('a login during a list is not undone by the older list', async (t) => {
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

t.test('when a user’s server fails, its known tools say that they are unavailable', async (t) => {
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
  catalogue.noteTrouble('ada', 'mine', new FairleadError('ERR_UNAVAILABLE', 'it is away'));
  await catalogue.ready(of('ada'));
  t.same(names('ada'), ['all']);
  t.match(catalogue.toolSet(of('ada')).find('own'), { gone: 'it is away' });
  t.match(catalogue.note({ user: 'ada' }), /not available now.*mine/);
  t.equal(catalogue.note({ user: 'bob' }), '');
});

t.test('trouble with a shared server is reported to its lister, at a limited rate', async (t) => {
  const { catalogue, troubles, health } = make(async () => ({ tools: [] }));
  const away = new FairleadError('ERR_UNAVAILABLE', 'no answer to «the secret of ada»');
  for (let call = 0; call < 5; call++) catalogue.noteTrouble('ada', 'common', away);
  catalogue.noteTrouble('ada', 'invented', away);
  t.same(troubles, ['common']);
  t.match(health.read(), {
    common: { state: 'down', lastError: 'ERR_UNAVAILABLE: Over the limit or not there right now' },
  });
  catalogue.noteGood('common');
  t.match(health.read(), { common: { state: 'healthy' } });
});

t.test('the number of remembered users is bounded', async (t) => {
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

t.test('a turn before all servers are listed waits for them, for a moment', async (t) => {
  const { catalogue, names } = make(async () => ({ tools: [] }), {}, { catalogue: {}, notes: {} });
  let isReady = false;
  const ready = catalogue.ready(of('ada')).then(() => (isReady = true));
  catalogue.set({ common: [tool('all')] }, {});
  await setImmediate();
  t.notOk(isReady);
  catalogue.set({ common: [tool('all')] }, { mine: { down: 'it is away' } });
  await ready;
  t.same(names('ada'), ['all']);
  const alive = setInterval(() => undefined, 1_000); // the wait alone keeps nothing alive
  const silent = make(async () => ({ tools: [] }), { waitMs: 1 }, { catalogue: {}, notes: {} });
  await silent.catalogue.ready(of('ada'));
  t.same(silent.names('ada'), []);
  clearInterval(alive);
});

const listNothing: ToolCatalogueOptions['list'] = async () => ({ tools: [] });

t.test('a server that is kept for groups gives others no tool, no name and no note, whatever is cached', async (t) => {
  const kept = parseConfig({ mcpServers: { common: { image: 'a' }, lab: { image: 'b', groups: ['research'] } } }, {});
  const log = pino({ level: 'silent' });
  const changed = new SessionTools({ timeoutMs: 10_000, shared: 'all', log });
  const health = new HealthBook(() => Object.keys(kept.mcpServers));
  const catalogue = new ToolCatalogue({
    config: kept,
    health,
    list: listNothing,
    changed,
    onTrouble: () => undefined,
    log,
  });
  const lists = { common: [tool('look')], lab: [tool('look'), tool('secret')] };
  catalogue.set(lists, { lab: { resources: true, prompts: true } });
  const member = { ...of('ada'), who: { role: 'user', groups: ['research'] } } as const;
  const other = { ...of('bob'), who: { role: 'admin', groups: ['Research'] } } as const;
  const names = (caller: typeof member | typeof other): string[] =>
    catalogue.toolSet(caller).tools.map(({ name }) => name);
  for (let twice = 0; twice < 2; twice++) {
    t.same(names(member), [
      'common__look',
      'lab__look',
      'secret',
      'list_resources',
      'read_resource',
      'restart_sandbox',
    ]);
    t.same(names(other), ['look', 'restart_sandbox'], 'what is hidden renames nothing');
    t.equal(catalogue.toolSet(other).of('lab', 'secret'), undefined);
    t.equal(catalogue.toolSet(of('bob')).find('secret'), undefined, 'of a session from before groups');
  }
  t.same(catalogue.notesOf(other), {});
  t.match(catalogue.notesOf(member), { lab: { resources: true } });
  catalogue.set(lists, { lab: { down: 'it is away' } });
  t.match(catalogue.note(member), /lab/);
  t.equal(catalogue.note(other), '');
});
