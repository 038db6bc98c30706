import t, { type Test } from 'tap';
import { hashToken } from '../../../../src/shared/token-file.js';
import { startFront } from '../front-fixture.js';

const LINE = {
  inputTokens: 1,
  outputTokens: 2,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  amount: 0.5,
  answers: 1,
  calls: 0,
};

async function front(t: Test) {
  const tokens = (['user', 'operator'] as const).map((role) => ({
    user: `${role}-1`,
    sha256: hashToken(role),
    role,
    groups: ['g'],
  }));
  const fixture = await startFront({ auth: { mode: 'token', tokens } });
  t.teardown(() => fixture.close());
  const ask = async (role: string, path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${fixture.url}${path}`, { headers: { authorization: `Bearer ${role}`, ...headers } });
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  fixture.agent.overrides.set('read-usage', () => ({
    currency: 'EUR',
    rows: [{ name: '=evil,"x"', ...LINE }],
    next: '=evil',
  }));
  fixture.agent.overrides.set('budgets-left', () => ({
    budgets: [{ of: 'user', per: 'day', name: 'user-1', tokens: 5 }],
  }));
  const asked = (): unknown => fixture.agent.calls.findLast(({ name }) => name === 'read-usage')?.body;
  return { ask, asked, calls: fixture.agent.calls };
}

t.test('everybody sees their own use and what is left; only an operator sees that of others', async (t) => {
  const { ask, asked, calls } = await front(t);
  const own = await ask('user', '/v1/usage?from=2026-11-01&to=2026-11-30&by=model&user=operator-1');
  t.equal(own.status, 200);
  t.match(JSON.parse(own.text), {
    by: 'model',
    from: '2026-11-01',
    to: '2026-11-30',
    currency: 'EUR',
    budgets: [{ tokens: 5 }],
  });
  t.match(asked(), { by: 'model', user: 'user-1' });
  t.match(calls.findLast(({ name }) => name === 'budgets-left')?.body, { user: 'user-1', groups: ['g'] });
  const refused = await ask('user', '/v1/admin/usage');
  t.equal(refused.status, 403);
  t.match(JSON.parse(refused.text), { code: 'ERR_FORBIDDEN' });
  t.equal((await ask('nobody', '/v1/usage')).status, 401);
  t.equal((await ask('operator', '/v1/admin/usage?by=group&limit=2&after=a')).status, 200);
  t.match(asked(), { by: 'group', limit: 2, after: 'a' });
  t.equal((await ask('operator', '/v1/admin/usage?user=user-1')).status, 200);
  t.match(asked(), { by: 'day', user: 'user-1' });
});

t.test('CSV comes by format or by Accept, and holds no formula', async (t) => {
  const { ask } = await front(t);
  for (const [path, accept] of [
    ['/v1/admin/usage?format=csv', '*/*'],
    ['/v1/admin/usage', 'text/csv'],
  ] as const) {
    const csv = await ask('operator', path, { accept });
    t.match(csv.headers.get('content-type'), 'text/csv');
    t.equal(csv.headers.get('fairlead-next'), '%3Devil');
    t.same(csv.text.split('\r\n'), [
      'user,inputTokens,outputTokens,cacheReadTokens,cacheWriteTokens,amount,answers,calls,currency',
      `"'=evil,""x""",1,2,0,0,0.5,1,0,EUR`,
      '',
    ]);
  }
  t.match(
    (await ask('operator', '/v1/admin/usage?format=json', { accept: 'text/csv' })).headers.get('content-type'),
    'json',
  );
});

t.test('what is no day, kind, format or number is refused with its name', async (t) => {
  const { ask } = await front(t);
  for (const query of [
    'from=2026-02-30',
    'to=x',
    'from=2026-11-02&to=2026-11-01',
    'from=2020-01-01&to=2026-01-01',
    'by=secret',
    'limit=0',
    'limit=1e9',
    'format=xml',
  ]) {
    const { status, text } = await ask('operator', `/v1/admin/usage?${query}`);
    t.equal(status, 400, query);
    t.match(text, 'ERR_BAD_FRAME');
  }
});
