import { readFileSync } from 'node:fs';
import t from 'tap';
import { diffConfigs, effectiveConfig, LIVE_KEYS, RESTART_KEYS } from '../../../src/boot/live-keys.js';
import { configJsonSchema, parseConfig, problemsAcross, type Config } from '../../../src/shared/config.js';

const TOKEN = { user: 'ada', sha256: 'a'.repeat(64) };

function configOf(json: object): Config {
  return parseConfig(json, { FAIRLEAD_DATA: '/tmp/nowhere' });
}

interface Node {
  properties?: Record<string, Node>;
}

/** Keys of the schema that are no section; those below a key that needs a restart as a whole are left out. */
function* keysOf({ properties = {} }: Node, path: readonly string[] = []): Generator<string> {
  for (const [name, node] of Object.entries(properties)) {
    const key = [...path, name].join('.');
    if (node.properties === undefined || (RESTART_KEYS as readonly string[]).includes(key)) yield key;
    else yield* keysOf(node, [...path, name]);
  }
}

t.test('every key of the schema is either live or needs a restart', async (t) => {
  const keys = [...keysOf(configJsonSchema() as Node)].filter((key) => key !== '$schema');
  t.same([...LIVE_KEYS, ...RESTART_KEYS].toSorted(), keys.toSorted());
});

t.test('a change is told by its key, in maps by its entry, and beside it what needs a restart', async (t) => {
  const before = configOf({ auth: { tokens: [TOKEN] }, quotas: { users: { ada: {}, bob: {} } } });
  const after = configOf({
    listen: { port: 4000, origins: ['https://a.example'] },
    auth: { tokens: [{ ...TOKEN, role: 'admin' }] },
    agents: { maxHeapMb: 512 },
    approvals: { rules: [{ action: 'deny' }] },
    quotas: { users: { bob: { maxSessions: 1 }, cy: {} } },
  });
  t.same(diffConfigs(before, after), {
    live: [
      'listen.origins',
      'auth.tokens',
      'approvals.rules',
      'quotas.users.ada removed',
      'quotas.users.bob',
      'quotas.users.cy added',
    ],
    restart: ['listen.port', 'agents'],
  });
  t.same(diffConfigs(before, before), { live: [], restart: [] });
});

t.test('the order of a map counts', async (t) => {
  const before = configOf({ quotas: { users: { a: {}, b: {} } } });
  const after = configOf({ quotas: { users: { b: {}, a: {} } } });
  t.same(diffConfigs(before, after).live, ['quotas.users']);
  t.same(Object.keys(effectiveConfig(before, after).quotas.users), ['b', 'a']);
});

t.test('live keys are those of the new file, all else stays, and the result is frozen', async (t) => {
  const before = configOf({ auth: { tokens: [TOKEN] }, quotas: { default: { maxSessions: 3 } } });
  const after = configOf({
    listen: { port: 4000 },
    auth: { tokens: [TOKEN], support: true },
    limits: { maxInFlight: 2, maxFrameBytes: 2_000_000 },
  });
  const effective = effectiveConfig(before, after);
  t.equal(effective.listen.port, 3000);
  t.equal(effective.auth.support, true);
  t.match(effective.limits, { maxInFlight: 2, maxFrameBytes: 1_048_576 });
  t.same(effective.quotas.default, {}, 'a key that is gone is gone');
  t.throws(() => Object.assign(effective.limits, { maxInFlight: 9 }));
  t.same(problemsAcross(effective), []);
  t.same(before.quotas.default, { maxSessions: 3 }, 'the one before is as it was');
});

t.test('between no tokens and some a restart is needed, and until then the ones before count', async (t) => {
  const none = configOf({});
  const some = configOf({ auth: { tokens: [TOKEN] } });
  t.match(diffConfigs(none, some), { live: [], restart: ['auth.tokens'] });
  t.match(diffConfigs(some, none), { live: [], restart: ['auth.tokens'] });
  t.same(effectiveConfig(none, some).auth.tokens, []);
  t.equal(effectiveConfig(some, none).auth.tokens.length, 1);
});

const settings = (mcpServers: object): Config => configOf({ allowHostCommands: true, mcpServers });

t.test('servers are live, with their order', async (t) => {
  const before = settings({
    kept: { url: 'https://kept.example/mcp' },
    moved: { url: 'https://a.example/mcp' },
    run: { command: 'x', args: ['1'] },
    box: { image: 'a', groups: ['staff'] },
    gone: { url: 'https://gone.example/mcp' },
  });
  const after = settings({
    fresh: { command: 'y', sandbox: 'box' },
    box: { image: 'b' },
    run: { command: 'x', args: ['2'] },
    moved: { url: 'https://b.example/mcp' },
    kept: { url: 'https://kept.example/mcp' },
  });
  t.same(diffConfigs(before, after), {
    live: ['mcpServers.moved', 'mcpServers.run', 'mcpServers.box', 'mcpServers.gone removed', 'mcpServers.fresh added'],
    restart: [],
  });
  const { mcpServers } = effectiveConfig(before, after);
  t.same(mcpServers, after.mcpServers);
  t.same(Object.keys(mcpServers), ['fresh', 'box', 'run', 'moved', 'kept']);
  t.equal(mcpServers['box']?.groups, undefined, 'groups that are gone are gone');
  const one = { x: { url: 'https://x.example' }, y: { url: 'https://y.example' } };
  const two = { y: one.y, x: one.x };
  t.same(diffConfigs(settings(one), settings(two)), { live: ['mcpServers'], restart: [] });
});

t.test('the documentation names the live keys and no others', async (t) => {
  const text = readFileSync(new URL('../../../../docs/configuration.md', import.meta.url), 'utf8');
  const section = /\n## Reload\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '';
  const told = [...section.matchAll(/^\| `(\w+)` +\| (.*) \|$/gm)].flatMap(([, name = '', cells = '']) => {
    const keys = [...cells.matchAll(/`([\w.*]+)`/g)].map(([, key = '']) => key).filter((key) => key !== 'LOG_LEVEL');
    return keys.length === 0 || name === 'mcpServers' ? [name] : keys.map((key) => `${name}.${key}`);
  });
  const isTold = (key: string): boolean =>
    told.some((each) => (each.endsWith('.*') ? key.startsWith(each.slice(0, -1)) : each === key));
  t.same(
    LIVE_KEYS.filter((key) => !isTold(key)),
    [],
  );
  t.same(
    told.filter((each) => !LIVE_KEYS.some((key) => key.startsWith(each.replace(/\*$/, '')))),
    [],
  );
});
