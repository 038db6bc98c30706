import t from 'tap';
import { ConfigError, parseConfig } from '../../../src/shared/config.js';
import { keptServers, mayUseModel, seesServer } from '../../../src/shared/kept-for-groups.js';
import { NO_STANDING, type Standing } from '../../../src/shared/person.js';

const member: Standing = { role: 'user', groups: ['staff', 'research'] };

t.test('a server is seen by members of one of its groups; one in a sandbox only by who sees the sandbox', async (t) => {
  const { mcpServers } = parseConfig(
    {
      mcpServers: {
        open: { image: 'a' },
        lab: { image: 'b', groups: ['research', 'lab'] },
        inside: { command: 'x', sandbox: 'lab' },
        both: { command: 'x', sandbox: 'lab', groups: ['ops'] },
      },
    },
    {},
  );
  const seen = (who: Standing | undefined): string[] =>
    Object.keys(mcpServers).filter((name) => seesServer(mcpServers, name, who));
  t.same(seen(member), ['open', 'lab', 'inside']);
  t.same(seen({ ...member, groups: ['research', 'ops'] }), ['open', 'lab', 'inside', 'both']);
  for (const who of [undefined, NO_STANDING, { role: 'admin', groups: ['RESEARCH'] } as const])
    t.same(seen(who), ['open']);
  t.same(keptServers(mcpServers), ['lab', 'inside', 'both']);
  for (const name of ['nowhere', '__proto__', 'constructor'])
    t.equal(seesServer(mcpServers, name, member), false, name);
});

t.test('a model is used by members of one of its groups', async (t) => {
  const { model } = parseConfig({ model: { name: 'small', allow: ['large'], groups: { large: ['research'] } } }, {});
  t.equal(mayUseModel(model, 'large', member), true);
  t.equal(mayUseModel(model, 'large', NO_STANDING), false);
  t.equal(mayUseModel(model, 'large', undefined), false);
  t.equal(mayUseModel(model, 'small', undefined), true);
  t.equal(mayUseModel(model, 'constructor', undefined), true);
});

function problemsOf(json: object): unknown {
  try {
    parseConfig(json, {});
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

t.test('groups that nobody can be in, and groups of a model that is not there, are problems', async (t) => {
  for (const groups of [[], null, [''], [null], 'research']) {
    t.match(problemsOf({ mcpServers: { lab: { image: 'x', groups } } }), [{ path: /^mcpServers\.lab\.groups/ }]);
  }
  t.match(problemsOf({ model: { groups: { Large: ['a'] } } }), [
    { path: 'model.groups.Large', message: /model\.allow/ },
  ]);
});
