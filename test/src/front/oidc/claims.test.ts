import t from 'tap';
import { claimsReader, type Claims } from '../../../../src/front/oidc/claims.js';
import { oidcSchema } from '../../../../src/shared/config-oidc.js';

const ISSUER = { issuer: 'https://login.test', audiences: ['a'] };
const read = (settings: Record<string, unknown>, claims: Claims): ReturnType<ReturnType<typeof claimsReader>> =>
  claimsReader(oidcSchema.parse({ ...ISSUER, ...settings }))({ sub: 'ada', ...claims });
const groupsOf = (settings: Record<string, unknown>, claims: Claims): unknown =>
  (read(settings, claims) as { groups?: unknown }).groups;

t.test('groups are read from a claim by its name or its path, as a list or as one text', async (t) => {
  t.same(groupsOf({}, { groups: ['a', 'b', 'a'] }), ['a', 'b']);
  t.same(groupsOf({}, { groups: 'staff' }), ['staff']);
  t.same(groupsOf({ groupsClaim: 'realm_access.roles' }, { realm_access: { roles: ['x'] } }), ['x']);
  t.same(groupsOf({ groupsClaim: 'https://a.test/groups' }, { 'https://a.test/groups': ['y'] }), ['y']);
  for (const groups of [undefined, null, 7, {}, [null, 7, {}, ['a']]]) t.same(groupsOf({}, { groups }), []);
  t.same(groupsOf({ groupsClaim: 'constructor.name' }, {}), [], 'what every object has is no claim');
});

t.test('a bad group costs that group alone', async (t) => {
  t.same(groupsOf({}, { groups: ['a', '', 'x'.repeat(129), 'a\nb', 'ok'] }), ['a', 'ok']);
});

t.test('too many groups refuse the user, since a rule against one of the rest would not hold', async (t) => {
  const groups = Array.from({ length: 201 }, (_, index) => `g${index}`);
  t.match(read({}, { groups }), { refused: /more than 200 groups/ });
  t.match(read({}, { groups: groups.slice(1) }), { user: 'ada' });
  t.same(groupsOf({ groups: ['g20*'] }, { groups }), ['g20', 'g200']);
  t.match(read({}, { _claim_names: { groups: 'src1' } }), { refused: /left the groups out/ });
});

t.test('the highest role of the groups holds', async (t) => {
  const roles = { operator: ['ops'], admin: ['root'] };
  const roleOf = (...groups: string[]): unknown => (read({ roles }, { groups }) as { role?: unknown }).role;
  t.equal(roleOf(), 'user');
  t.equal(roleOf('Ops', 'ROOT'), 'user', 'names are compared to the letter');
  t.equal(roleOf('ops'), 'operator');
  t.equal(roleOf('root', 'ops'), 'admin');
});

t.test('with onlyGroups the members of these get in, and nobody else', async (t) => {
  t.match(read({ onlyGroups: ['a', 'b'] }, { groups: ['b'] }), { user: 'ada' });
  t.match(read({ onlyGroups: ['a', 'b'] }, { groups: ['c'] }), { refused: /ada is in no group/ });
  t.match(read({ onlyGroups: ['a'] }, {}), { refused: /no group/ });
});
