import t from 'tap';
import { EndedLogins, type EndedEntry } from '../../../../src/front/browser/ended-logins.js';
import type { IssuerLogin, Login } from '../../../../src/front/browser/login.js';

const HOUR = 3_600_000;
const ISSUER = 'https://issuer.test';

function login(id: string, by: Partial<IssuerLogin> = {}, beganAt = 1_000): Login {
  const issuer: IssuerLogin = { kind: 'issuer', issuer: ISSUER, sub: 'ada', issuedAt: 100, ...by };
  return { id, user: 'ada', groups: [], by: issuer, beganAt, endsAt: beganAt + HOUR };
}

function open(now: () => number = () => 0): EndedLogins {
  return new EndedLogins({ sessionMs: HOUR, now });
}

/** As another server reads the entry. */
function read(at: EndedLogins, { key, value, endsAt }: EndedEntry): void {
  at.put(key.slice(at.kind.length), value, { endsAt });
}

t.test('a log-out ends one login at every server, and neither a later one nor another user’s', async (t) => {
  const [here, there] = [open(), open()];
  let told = 0;
  there.onEnded = () => told++;
  read(there, here.end(login('1')));
  t.equal(told, 0, 'not before the page of changes is whole');
  there.applied();
  there.applied();
  t.equal(told, 1);
  for (const at of [here, there]) {
    t.ok(at.has(login('1')));
    t.notOk(at.has(login('1', {}, 1_001)));
    t.notOk(at.has({ ...login('1'), user: 'bob' }));
    const others = Array.from({ length: 100 }, (_, n) => login(`other ${n}`)).filter((each) => at.has(each));
    t.ok(others.length < 10, `${others.length} of 100 logins of the same moment share an entry`);
  }
});

t.test('whoever logs in and out for ever has a bounded number of entries', async (t) => {
  const ended = open();
  for (let n = 0; n < 5_000; n++) ended.end(login(`${n}`, {}, 1_000 + n));
  t.ok(ended.size <= 64);
  t.ok(ended.has(login('0')));
  t.ok(ended.has(login('4999', {}, 5_999)));
});

t.test('the issuer’s log-out of a session ends what came of that session, whenever it came', async (t) => {
  const ended = open();
  ended.endByIssuer({ issuer: ISSUER, sub: 'ada', sid: 's1', issuedAt: 200 });
  t.ok(ended.has(login('1', { sid: 's1' })));
  t.ok(ended.has(login('2', { sid: 's1', issuedAt: 300 })), 'its code was given back late');
  t.notOk(ended.has(login('3', { sid: 's2' })));
  t.notOk(ended.has(login('4')));
  t.notOk(ended.has(login('5', { sid: 's1', issuer: 'https://other.test' })));
});

t.test('the issuer’s log-out of a user ends what it had begun by then, in whatever order log-outs come', async (t) => {
  for (const order of [
    [200, 300],
    [300, 200],
    [300, 300, 200],
  ]) {
    const [here, there] = [open(), open()];
    for (const issuedAt of order) {
      const entry = here.endByIssuer({ issuer: ISSUER, sub: 'ada', issuedAt });
      if (issuedAt === order.at(-1)) read(there, entry); // what the store is left with
    }
    for (const at of [here, there]) {
      t.ok(at.has(login('1', { issuedAt: 300, sid: 'any' })));
      t.notOk(at.has(login('2', { issuedAt: 301 })), 'a log-out that is sent again ends no later login');
      t.notOk(at.has(login('3', { sub: 'bob' })));
    }
  }
});

t.test('names that an issuer makes up never meet another’s entry, and are short in the store', async (t) => {
  const ended = open();
  const keys = [
    ended.endByIssuer({ issuer: 'a', sub: 'b', issuedAt: 1 }),
    ended.endByIssuer({ issuer: 'a', sid: 'b', issuedAt: 1 }),
    ended.endByIssuer({ issuer: 'a","b', sub: '', issuedAt: 1 }),
    ended.endByIssuer({ issuer: 'a', sub: 'b","c', issuedAt: 1 }),
    ended.endByIssuer({ issuer: 'a', sub: 'x\n{}'.repeat(5_000), issuedAt: 1 }),
    ended.end(login('b')),
  ].map(({ key }) => key);
  t.equal(new Set(keys).size, keys.length);
  for (const key of keys) t.match(key, /^logout:(?:login|sid|sub):[\w-]{43}$/);
});

t.test('an end outlives a store that has lost it, and is forgotten when no cookie can be older', async (t) => {
  let now = 0;
  const ended = open(() => now);
  const entry = ended.end(login('1'));
  ended.drop(entry.key.slice(ended.kind.length));
  t.ok(ended.has(login('1')));
  now = entry.endsAt;
  ended.drop(entry.key.slice(ended.kind.length));
  t.equal(ended.size, 0);
  for (let n = 0; n < 998; n++) ended.end({ ...login('1'), user: `u${n}` });
  t.equal(ended.size, 998);
  now += 2 * HOUR;
  ended.end({ ...login('1'), user: 'last', endsAt: now + 1 });
  t.equal(ended.size, 1);
});
