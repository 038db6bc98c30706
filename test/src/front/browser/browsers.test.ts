import { randomUUID } from 'node:crypto';
import t from 'tap';
import { Browsers, type BrowsersOptions } from '../../../../src/front/browser/browsers.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Person } from '../../../../src/shared/person.js';
import type { CookieHead } from '../../../../src/front/browser/same-origin.js';

const HOUR = 3_600_000;
const ISSUER = 'https://issuer.test';
const ADA = { user: 'ada', groups: ['staff'], by: { kind: 'issuer', issuer: ISSUER, sub: '1', issuedAt: 1 } } as const;

let now = 1_000_000;

function open(more: Partial<BrowsersOptions> = {}): Browsers {
  return new Browsers({
    keys: ['ab'.repeat(32)],
    site: () => ({ base: 'https://fairlead.test', port: 3000 }),
    sessionMs: 12 * HOUR,
    idleMs: 2 * HOUR,
    issuer: { issuer: ISSUER, roleOf: (groups) => (groups.includes('ops') ? 'operator' : 'user') },
    now: () => now,
    ...more,
  });
}

/** What the browser sends back of a Set-Cookie. */
function pair(cookie: string): string {
  return cookie.split(';')[0]!;
}

function head(cookie: string, more: Partial<CookieHead> = {}): CookieHead {
  const origin = 'https://fairlead.test';
  return {
    method: 'GET',
    host: 'fairlead.test',
    origin: '',
    cookie,
    fetchSite: 'same-origin',
    fetchMode: 'cors',
    ...(more.method && { origin }),
    ...more,
  };
}

function codeOf(answer: Person | FairleadError | undefined): string {
  if (answer instanceof FairleadError) return answer.code;
  return answer === undefined ? 'nobody' : answer.user;
}

t.test('the cookie is out of reach of scripts, other hosts and plain http, and tells nothing', async (t) => {
  const { cookie } = open().logIn(ADA);
  t.match(cookie, /^__Host-fairlead=[\w-]+; Path=\/; Max-Age=7200; HttpOnly; SameSite=Lax; Secure$/);
  t.notMatch(Buffer.from(pair(cookie).split('=')[1]!, 'base64url').toString('latin1'), /ada|staff/);
  t.not(pair(open().logIn(ADA).cookie), pair(cookie), 'each login has another');
  const local = open({ site: () => ({ base: 'http://127.0.0.1:3000', port: 3000 }) }).logIn(ADA).cookie;
  t.match(local, /^fairlead-3000=[\w-]+; Path=\/; Max-Age=7200; HttpOnly; SameSite=Lax$/);
});

t.test('the cookie makes its browser the user with the role of the groups, at each server with the key', async (t) => {
  const { login, cookie } = open().logIn({ ...ADA, groups: ['staff', 'ops'] });
  const other = open();
  const person = other.identify(head(pair(cookie))) as Person;
  t.same(person, {
    user: 'ada',
    role: 'operator',
    groups: ['staff', 'ops'],
    credential: `cookie:${login.id}`,
    expiresAt: now + 12 * HOUR,
  });
  t.same(other.loginOf(person), login);
  t.equal(codeOf(other.identify(head(''))), 'nobody');
  t.equal(codeOf(other.identify(head(`a=b; ${pair(cookie)}; c=d`))), 'ada');
  t.equal(
    codeOf(other.identify(head(`__Host-fairlead=x; ${pair(cookie)}`))),
    'ada',
    'beside one that another page put there',
  );
});

t.test('a cookie that was changed, cut, of another key, kind or issuer makes nobody', async (t) => {
  const browsers = open();
  const { cookie } = browsers.logIn(ADA);
  const [name, value = ''] = pair(cookie).split('=');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (let at = 0; at < value.length; at++) {
    const changed = alphabet[(alphabet.indexOf(value[at]!) + 1) % 64]!;
    const text = value.slice(0, at) + changed + value.slice(at + 1);
    if (codeOf(browsers.identify(head(`${name}=${text}`))) !== 'ERR_UNAUTHORIZED') t.fail(`character ${at} is free`);
  }
  for (const text of [value.slice(0, -1), `${value}A`, `${value}=`, 'x', '%00', value.repeat(3), `"${value}"`]) {
    const answer = codeOf(browsers.identify(head(`${name}=${text}`)));
    t.ok(answer === 'ERR_UNAUTHORIZED' || answer === 'nobody', text.slice(0, 10));
  }
  const foreign = {
    'another key': open({ keys: ['ac'.repeat(32)] }).logIn(ADA).cookie,
    'another issuer': open().logIn({ ...ADA, by: { ...ADA.by, issuer: 'https://evil.test' } }).cookie,
    'another kind': `${name}=${browsers.sealer.seal('flow', { login: browsers.logIn(ADA).login, at: now })}`,
  };
  for (const [what, each] of Object.entries(foreign))
    t.equal(codeOf(browsers.identify(head(pair(each)))), 'ERR_UNAUTHORIZED', what);
  t.equal(
    codeOf(open({ issuer: { issuer: 'https://next.test', roleOf: () => 'admin' } }).identify(head(pair(cookie)))),
    'ERR_UNAUTHORIZED',
  );
});

t.test('a cookie that an older key sealed counts, and is given anew at once', async (t) => {
  const old = pair(open().logIn(ADA).cookie);
  const rotated = open({ keys: ['ac'.repeat(32), 'ab'.repeat(32)] });
  const renewed = rotated.renewal(rotated.identify(head(old)) as Person)!;
  const last = open({ keys: ['ac'.repeat(32)] });
  const person = last.identify(head(pair(renewed))) as Person;
  t.equal(person.user, 'ada');
  t.equal(last.renewal(person), undefined);
  t.equal(codeOf(last.identify(head(old))), 'ERR_UNAUTHORIZED');
});

t.test(
  'what changes something needs a page of this server, and a cookie beside the wrong page opens nothing',
  async (t) => {
    const browsers = open();
    const cookie = pair(browsers.logIn(ADA).cookie);
    t.equal(codeOf(browsers.identify(head(cookie, { method: 'POST' }))), 'ada');
    t.equal(
      codeOf(browsers.identify(head(cookie, { protocols: 'fairlead.v1', origin: 'https://fairlead.test' }))),
      'ada',
    );
    for (const more of [
      { method: 'POST', origin: '' },
      { method: 'DELETE', origin: 'https://evil.test', fetchSite: 'cross-site' },
      { method: 'POST', origin: 'https://sub.fairlead.test', fetchSite: 'same-site' },
      { protocols: '' },
      { protocols: '', origin: 'https://evil.test', fetchSite: '' },
      { fetchSite: 'same-site' },
      { fetchSite: 'cross-site', fetchMode: 'no-cors' },
    ]) {
      t.equal(codeOf(browsers.identify(head(cookie, more))), 'ERR_FORBIDDEN_ORIGIN', JSON.stringify(more));
    }
    t.equal(
      codeOf(browsers.identify(head(cookie, { fetchSite: 'cross-site', fetchMode: 'navigate' }))),
      'ada',
      'a link',
    );
  },
);

t.test('a cookie is given anew while it is used, and ends when it is not, and in any case', async (t) => {
  const browsers = open();
  const { login, cookie: first } = browsers.logIn(ADA);
  const person = (cookie: string): Person => browsers.identify(head(pair(cookie))) as Person;
  t.equal(browsers.renewal(person(first)), undefined, 'it is new');
  const begun = now;
  now += HOUR;
  const second = browsers.renewal(person(first))!;
  t.not(pair(second), pair(first));
  t.same(browsers.loginOf(person(second)), login, 'the login is the same');
  now += HOUR;
  t.equal(codeOf(browsers.identify(head(pair(first)))), 'ERR_UNAUTHORIZED', 'an old cookie that somebody kept is void');
  let cookie = second;
  while (now < begun + 11 * HOUR) {
    cookie = browsers.renewal(person(cookie)) ?? cookie;
    now += HOUR;
  }
  cookie = browsers.renewal(person(cookie))!;
  t.match(cookie, /Max-Age=3600;/, 'no longer than the login');
  now = begun + 12 * HOUR;
  t.equal(codeOf(browsers.identify(head(pair(cookie)))), 'ERR_UNAUTHORIZED');
  t.equal(browsers.renewal({ user: 'ada', role: 'user', groups: [], credential: 'file' }), undefined);
});

t.test(
  'a login that has ended is nobody’s, also by a cookie that was given anew; another server learns it by the entry',
  async (t) => {
    const [here, there] = [open(), open()];
    const { login, cookie } = here.logIn(ADA);
    now += 1; // a login of the same moment may share the entry, and end with it
    const other = here.logIn(ADA).cookie;
    now += HOUR;
    const renewed = here.renewal(here.identify(head(pair(cookie))) as Person)!;
    const holder = here.identify(head(pair(renewed))) as Person;
    const { key, ...entry } = here.ended.end(login);
    t.ok(here.hasEnded(holder), 'its sockets are known');
    for (const each of [cookie, renewed]) {
      t.equal(codeOf(here.identify(head(pair(each)))), 'ERR_UNAUTHORIZED');
      t.equal(codeOf(there.identify(head(pair(each)))), 'ada');
    }
    there.ended.put(key.slice('logout:'.length), entry.value, entry);
    t.equal(codeOf(there.identify(head(pair(renewed)))), 'ERR_UNAUTHORIZED');
    t.equal(codeOf(there.identify(head(pair(other)))), 'ada');
    t.same(here.lastLogin(head(pair(cookie))), login, 'so that a log-out can be repeated');
  },
);

t.test('a group that is let in no more opens nothing, though the cookie is good', async (t) => {
  const cookie = pair(open().logIn(ADA).cookie);
  const closed = open({ issuer: { issuer: ISSUER, roleOf: () => undefined } });
  t.equal(codeOf(closed.identify(head(cookie))), 'ERR_UNAUTHORIZED');
  t.equal(codeOf(open().identify(head(cookie))), 'ada');
});

t.test('the owner’s login is good as long as the token of the data folder', async (t) => {
  const browsers = open({ localToken: 'first' });
  const { cookie } = browsers.logInLocal()!;
  t.match(browsers.identify(head(pair(cookie))), { user: 'local', role: 'admin' });
  t.equal(codeOf(open({ localToken: 'second' }).identify(head(pair(cookie)))), 'ERR_UNAUTHORIZED');
  t.equal(codeOf(open().identify(head(pair(cookie)))), 'ERR_UNAUTHORIZED');
  t.equal(open().logInLocal(), undefined);
});

t.test('a hundred groups fit into the cookie, and what does not fit is said', async (t) => {
  const groups = Array.from({ length: 100 }, (_, n) => `/organisation/department-${n}`);
  const browsers = open();
  const { cookie } = browsers.logIn({ ...ADA, groups });
  t.same((browsers.identify(head(pair(cookie))) as Person).groups, groups);
  const many = Array.from({ length: 200 }, () => randomUUID());
  t.throws(() => browsers.logIn({ ...ADA, groups: many }), { code: 'ERR_TOO_LARGE' });
});
