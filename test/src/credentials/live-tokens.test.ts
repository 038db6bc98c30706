import { createHash } from 'node:crypto';
import pino from 'pino';
import t from 'tap';
import { BlockedUsers } from '../../../src/credentials/blocked-users.js';
import { LiveTokens, type LiveTokensOptions } from '../../../src/credentials/live-tokens.js';

const log = pino({ level: 'silent' });
const MINUTE_MS = 60_000;

const hash = (token: string): string => createHash('sha256').update(token).digest('hex');

function record(token: string, over: object = {}): string {
  return JSON.stringify({
    sha256: hash(token),
    user: 'ada',
    role: 'user',
    groups: ['analysts'],
    createdAt: 1,
    createdBy: 'local',
    ...over,
  });
}

const entry = (name: string, more: object = {}): { key: string; change: number } => ({
  key: `token:${name}`,
  change: 1,
  ...more,
});

function newTokens(over: Partial<LiveTokensOptions> = {}): {
  tokens: LiveTokens;
  ended: string[];
  clock: { now: number };
} {
  const ended: string[] = [];
  const clock = { now: 1_000_000 };
  const tokens = new LiveTokens({ log, onEnded: (ids) => ended.push(...ids), now: () => clock.now, ...over });
  return { tokens, ended, clock };
}

t.test('a token is found by its hash alone, as a person with its id', async (t) => {
  const { tokens } = newTokens();
  tokens.put('tok_1', record('one'), entry('tok_1'));
  const person = { user: 'ada', role: 'user', groups: ['analysts'], credential: 'tok_1' };
  t.strictSame(tokens.find(hash('one'), '192.0.2.1'), person);
  t.equal(tokens.find(hash('One'), ''), undefined);
  t.equal(tokens.find(hash(hash('one')), ''), undefined, 'its hash is no token');
  t.equal(tokens.find('', ''), undefined);
  t.equal(tokens.isValid('tok_1'), true);
  t.equal(tokens.isValid('tok_2'), false);
});

t.test('a token that is dropped or replaced ends, and those that end are told together', async (t) => {
  const { tokens, ended } = newTokens();
  for (const name of ['1', '2', '3']) tokens.put(name, record(name), entry(name));
  tokens.applied();
  t.strictSame(ended, []);
  tokens.drop('1');
  tokens.drop('1');
  tokens.drop('unknown');
  tokens.put('2', record('another'), entry('2'));
  tokens.applied();
  t.strictSame(ended, ['1'], 'a changed one is still one');
  t.equal(tokens.find(hash('1'), ''), undefined);
  t.equal(tokens.find(hash('2'), ''), undefined, 'with its old hash');
  t.match(tokens.find(hash('another'), ''), { credential: '2' });
  tokens.drop('3');
  tokens.put('3', record('3'), entry('3'));
  tokens.applied();
  t.strictSame(ended, ['1'], 'one that came back has not ended');
  t.equal(tokens.size, 2);
});

t.test('an expired token is nobody’s, also when the clock jumps back and forth', async (t) => {
  const { tokens, clock } = newTokens();
  tokens.put('1', record('one', { expiresAt: 2_000_000 }), entry('1'));
  t.match(tokens.find(hash('one'), ''), { expiresAt: 2_000_000 });
  clock.now = 2_000_000;
  t.equal(tokens.find(hash('one'), ''), undefined);
  t.equal(tokens.isValid('1'), false);
  clock.now = 1_999_999;
  t.match(tokens.find(hash('one'), ''), { user: 'ada' });
});

t.test('a record that nobody can read costs that token alone', async (t) => {
  const { tokens } = newTokens();
  const bad = [
    '',
    '{',
    'null',
    '[]',
    record('x', { role: 'root' }),
    record('x', { user: '../x' }),
    record('x', { sha256: 'x' }),
  ];
  for (const [index, value] of bad.entries()) tokens.put(`bad-${index}`, value, entry(`bad-${index}`));
  tokens.put('good', record('good', { more: 'of a newer server' }), entry('good'));
  t.equal(tokens.size, 1);
  t.match(tokens.find(hash('good'), ''), { credential: 'good' });
  t.equal(tokens.find(hash('x'), ''), undefined);
});

t.test('where users are not kept apart, only the tokens of some are valid', async (t) => {
  const { tokens } = newTokens({ refusal: ({ user }) => (user === 'local' ? undefined : 'no isolation') });
  tokens.put('1', record('one'), entry('1'));
  tokens.put('2', record('two', { user: 'local' }), entry('2'));
  t.equal(tokens.find(hash('one'), ''), undefined);
  t.match(tokens.find(hash('two'), ''), { user: 'local' });
});

t.test('the last use is known at once, and handed out to be written once a minute for each token', async (t) => {
  const { tokens, clock } = newTokens();
  for (const name of ['1', '2', '3']) tokens.put(name, record(name), entry(name));
  t.strictSame(tokens.takeUses(10), []);
  tokens.find(hash('1'), '192.0.2.1');
  tokens.find(hash('1'), '192.0.2.2');
  tokens.find(hash('2'), '192.0.2.3');
  t.strictSame(tokens.lastUse('1'), { at: 1_000_000, from: '192.0.2.2' });
  t.equal(tokens.lastUse('3'), undefined);
  t.strictSame(tokens.takeUses(1), [{ key: 'token:1', at: 1_000_000, from: '192.0.2.2' }]);
  t.strictSame(tokens.takeUses(10), [{ key: 'token:2', at: 1_000_000, from: '192.0.2.3' }]);
  clock.now += MINUTE_MS - 1;
  tokens.find(hash('1'), '192.0.2.4');
  t.strictSame(tokens.takeUses(10), [], 'not yet');
  t.strictSame(tokens.lastUse('1'), { at: clock.now, from: '192.0.2.4' });
  clock.now += 1;
  tokens.find(hash('1'), '192.0.2.4');
  t.strictSame(tokens.takeUses(10), [{ key: 'token:1', at: clock.now, from: '192.0.2.4' }]);
  tokens.find(hash('2'), '');
  tokens.drop('2');
  t.strictSame(tokens.takeUses(10), [], 'a revoked token has no use');
});

t.test('blocked users are told when they are new, and one whose record nobody can read stays blocked', async (t) => {
  const changes: string[][] = [];
  const blocked = new BlockedUsers({ log, onChanged: (fresh) => changes.push([...fresh]) });
  blocked.put('ada', JSON.stringify({ since: 1, by: 'olga', reason: 'left' }));
  blocked.put('bob', 'no JSON');
  blocked.applied();
  blocked.applied();
  t.strictSame(changes, [['ada', 'bob']]);
  t.ok(blocked.has('bob'));
  t.match(blocked.get('ada'), { by: 'olga', reason: 'left' });
  blocked.put('ada', JSON.stringify({ since: 2, by: 'olga' }));
  blocked.drop('bob');
  blocked.applied();
  t.strictSame(changes[1], [], 'nobody is new');
  t.strictSame(blocked.names(), ['ada']);
});
