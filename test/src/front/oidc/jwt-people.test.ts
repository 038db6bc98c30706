import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto';
import pino from 'pino';
import t, { type Test } from 'tap';
import { JwtPeople, type JwtPeopleOptions } from '../../../../src/front/oidc/jwt-people.js';
import { oidcSchema } from '../../../../src/shared/config-oidc.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Person } from '../../../../src/shared/person.js';
import { NO_PROXIES } from '../../../../src/shared/proxies.js';
import { hashToken } from '../../../../src/shared/token-file.js';
import { until } from '../../../helpers/until.js';
import { AUDIENCE, JwtIssuer } from '../../../helpers/jwt-issuer.js';

interface World {
  issuer: JwtIssuer;
  people: JwtPeople;
  /** Messages of warnings and notes. */
  log: string[];
  /** The person, or the refusal's code and words. */
  ask: (token: string) => Promise<Person | { code: string; message: string }>;
}

async function start(
  t: Test,
  oidc: Record<string, unknown> = {},
  pauses: JwtPeopleOptions['pauses'] = {},
  given?: JwtIssuer,
): Promise<World> {
  const issuer = given ?? (await JwtIssuer.start());
  if (!given) t.teardown(() => issuer.close());
  const log: string[] = [];
  const logger = pino({}, { write: (line: string) => log.push((JSON.parse(line) as { msg: string }).msg) });
  const parsed = oidcSchema.parse({ issuer: issuer.url, audiences: [AUDIENCE], ...oidc });
  const people = new JwtPeople({ oidc: parsed, proxies: NO_PROXIES, log: logger, pauses });
  const ask: World['ask'] = async (token) => {
    const found = await people.identify(token, hashToken(token));
    return found instanceof FairleadError ? { code: found.code, message: found.message } : found;
  };
  return { issuer, people, log, ask };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const seconds = (): number => Math.floor(Date.now() / 1_000);

void t.test('an access token of the issuer names the user, the groups, the role and its end', async (t) => {
  const { issuer, ask } = await start(t, { roles: { operator: ['ops'], admin: ['/admins'] } });
  const claims = { groups: ['analysts', 'ops'] };
  const olga = await ask(await issuer.issue('olga', { claims, seconds: 120 }));
  t.match(olga, { user: 'olga', role: 'operator', groups: ['analysts', 'ops'], credential: 'oidc' });
  const leftMs = (olga as Person).expiresAt! - Date.now();
  t.ok(leftMs > 60_000 && leftMs <= 120_000, 'to the second that the issuer has said');
  t.match(await ask(await issuer.issue('root', { claims: { groups: ['/admins'] } })), { role: 'admin' });
  t.match(await ask(await issuer.issue('ada')), { user: 'ada', role: 'user', groups: [] });
  t.match(await ask(await issuer.sign({ groups: ['nobody-names-this'] })), { role: 'user' }, 'a group with no rule');
});

void t.test('a token that is known is answered at once, and sockets of one token share its person', async (t) => {
  const { issuer, people } = await start(t);
  const token = await issuer.issue('ada');
  const first = await people.identify(token, hashToken(token));
  t.equal(people.identify(token, hashToken(token)), first);
});

void t.test('a JWT that is not as it must be is refused, with the reason', async (t) => {
  const { issuer, ask } = await start(t);
  const { privateKey: foreign } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const publicPem = createPublicKey(issuer.key.privateKey).export({ type: 'spki', format: 'pem' });
  const now = seconds();
  const good = await issuer.sign();
  const [head = '', body = '', signature = ''] = good.split('.');
  const unsigned = `${encode({ alg: 'none', kid: issuer.key.kid })}.${body}.`;
  const hmacHead = encode({ alg: 'HS256', kid: issuer.key.kid });
  const hmac = createHmac('sha256', publicPem).update(`${hmacHead}.${body}`).digest('base64url');
  const own = { ...createPublicKey(foreign).export({ format: 'jwk' }), alg: 'RS256', use: 'sig' };
  const refused: Record<string, [token: string, why: RegExp]> = {
    'for another audience': [await issuer.sign({ aud: 'https://other.test' }), /aud/],
    'without an audience': [await issuer.sign({ aud: undefined }), /aud/],
    'of another issuer': [await issuer.sign({ iss: 'https://other.test' }), /iss/],
    'of an issuer with a slash more': [await issuer.sign({ iss: `${issuer.url}/` }), /iss/],
    'without an issuer': [await issuer.sign({ iss: undefined }), /iss/],
    'with an algorithm that is not taken': [await issuer.sign({}, { alg: 'RS512' }), /alg/],
    'not signed (none)': [unsigned, /alg|malformed/],
    'signed by HMAC with the public key': [`${hmacHead}.${body}.${hmac}`, /alg/],
    'of an unknown key': [await issuer.sign({}, { kid: 'x' }, foreign), /kid/],
    'of a foreign key under the issuer’s kid': [await issuer.sign({}, {}, foreign), /signature/],
    'with a key of its own (jwk)': [await issuer.sign({}, { jwk: own }, foreign), /signature/],
    'with an address of keys (jku)': [await issuer.sign({}, { jku: 'http://127.0.0.1:9/', kid: 'y' }, foreign), /kid/],
    'not yet valid': [await issuer.sign({ nbf: now + 300 }), /nbf/],
    'without an end': [await issuer.sign({ exp: undefined }), /exp/],
    'with an end that is no number': [await issuer.sign({ exp: 'tomorrow' }), /exp/],
    'that has ended': [await issuer.sign({ exp: now - 31 }), /expired/],
    'with another signature': [`${head}.${body}.${signature.split('').toReversed().join('')}`, /signature|malformed/],
    'with another body': [
      `${head}.${encode({ iss: issuer.url, aud: AUDIENCE, sub: 'root', exp: now + 60 })}.${signature}`,
      /signature/,
    ],
    'that is no JSON': [`${head}.${Buffer.from('no').toString('base64url')}.${signature}`, /./],
    'that is a log-out token': [await issuer.sign({}, { typ: 'logout+jwt' }), /typ/],
    'that tells an event': [await issuer.sign({ events: {} }), /event/],
    'that is a proof of a key': [await issuer.sign({}, { typ: 'dpop+jwt' }), /typ/],
    'bound to a key': [await issuer.sign({ cnf: { jkt: 'x' } }), /cnf/],
    'with a critical extension': [await issuer.sign({}, { crit: ['x'], x: 1 }).catch(() => `${head}.${body}.AA`), /./],
  };
  for (const [what, [token, why]] of Object.entries(refused)) {
    const answer = await ask(token);
    t.match(answer, { code: 'ERR_UNAUTHORIZED', message: why }, what);
  }
  t.match(await ask(good), { user: 'ada' }, 'and the same as it must be is let in');
  t.match(await ask(await issuer.sign({}, { typ: 'at+jwt' })), { user: 'ada' });
  t.match(await ask(await issuer.sign({ aud: ['https://other.test', AUDIENCE] })), { user: 'ada' });
});

void t.test('clocks may differ a little; a token that only the tolerance takes ends with that', async (t) => {
  const { issuer, ask } = await start(t, { clockSkewMs: 20_000 });
  const now = seconds();
  t.match(await ask(await issuer.sign({ nbf: now + 10 })), { user: 'ada' });
  t.match(await ask(await issuer.sign({ nbf: now + 40 })), { code: 'ERR_UNAUTHORIZED' });
  t.match(await ask(await issuer.sign({ exp: now - 10 })), { user: 'ada', expiresAt: (now + 10) * 1_000 });
  t.match(await ask(await issuer.sign({ exp: now - 40 })), { code: 'ERR_UNAUTHORIZED' });
  t.match(await ask(await issuer.sign({ exp: 1e300 })), { expiresAt: 8.64e15 }, 'an end beyond all dates');
});

void t.test('a name that is none is refused, with the reason and without the name', async (t) => {
  const { issuer, ask } = await start(t);
  const long = 'x'.repeat(10_240);
  for (const sub of [
    '../etc/passwd',
    'a/b',
    'ada\nroot',
    'ada\u0000',
    long,
    '',
    ' ',
    '..',
    'ädä',
    '{ada}',
    7,
    null,
    ['ada'],
  ]) {
    const answer = await ask(await issuer.sign({ sub }));
    t.match(
      answer,
      { code: 'ERR_UNAUTHORIZED', message: /names no user: a user is 1–128 of letters/ },
      String(sub).slice(0, 20),
    );
    t.ok((answer as { message: string }).message.length < 200);
  }
  t.match(await ask(await issuer.sign({ sub: undefined })), { message: /sub is missing/ });
  t.match(
    await ask(await issuer.sign({ sub: 'local' })),
    { message: /owner/ },
    'nobody becomes the user of the first start',
  );
  for (const sub of ['auth0|5f7c', 'ada+test@example.org', '00u1a2-b3.c_4']) {
    t.match(await ask(await issuer.sign({ sub })), { user: sub });
  }
});

void t.test('an email names a user only where the issuer has verified it', async (t) => {
  const { issuer, ask } = await start(t, { userClaim: 'email' });
  const email = 'ada@example.org';
  for (const verified of [undefined, false, 'true', 1]) {
    const token = await issuer.sign({ email, email_verified: verified });
    t.match(await ask(token), { code: 'ERR_UNAUTHORIZED', message: /email_verified/ }, String(verified));
  }
  t.match(await ask(await issuer.sign({ email, email_verified: true })), { user: email });
});

void t.test('with no audience configured no JWT is taken', async (t) => {
  const { issuer, people } = await start(t, { audiences: [], clientId: 'x' });
  t.notOk(people.takes(await issuer.sign()));
});

void t.test('a rotated key is found at once, and the one that is gone counts no more', async (t) => {
  const { issuer, ask } = await start(t, {}, { unknownKeyMs: 0 });
  const old = await issuer.sign();
  t.match(await ask(old), { user: 'ada' });
  issuer.rotate();
  t.match(await ask(await issuer.sign({ sub: 'bob' })), { user: 'bob' });
  t.match(await ask(old), { code: 'ERR_UNAUTHORIZED', message: /kid/ }, 'also where its verdict was kept');
});

void t.test('a thousand unknown keys are one request to the issuer', async (t) => {
  const { issuer, ask } = await start(t);
  await ask(await issuer.sign());
  t.equal(issuer.reads, 1);
  const tokens = await Promise.all(Array.from({ length: 1_000 }, (_, i) => issuer.sign({}, { kid: `unknown-${i}` })));
  const answers = await Promise.all(tokens.map((token) => ask(token)));
  t.ok(answers.every((answer) => 'code' in answer && answer.code === 'ERR_UNAUTHORIZED'));
  t.ok(issuer.reads <= 2, `${issuer.reads} reads`);
  for (const token of tokens.slice(0, 20)) await ask(token);
  t.ok(issuer.reads <= 2, 'nor is one after the other more');
  t.match(await ask(await issuer.sign({ sub: 'bob' })), { user: 'bob' });
});

void t.test(
  'an issuer that is away at the start lets nobody in, is not asked in a storm, and is found when it is back',
  async (t) => {
    const { issuer, people, ask, log } = await start(t, {}, { retryMs: 200 });
    issuer.away = true;
    await people.warm();
    t.match(log, [/cannot be read: until then no JWT is let in/]);
    const token = await issuer.sign();
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(token)));
    t.ok(
      answers.every((answer) => 'code' in answer && answer.code === 'ERR_UNAVAILABLE'),
      'it is not said to be wrong',
    );
    t.ok(issuer.asked.length <= 3, `${issuer.asked.length} requests`);
    issuer.away = false;
    const isIn = async (): Promise<boolean> => 'user' in (await ask(token));
    await until('the issuer is found again', isIn, { timeoutMs: 20_000 });
    t.match(log.at(-1), /can be read again/);
  },
);

void t.test('while the issuer is away the keys that are known count on, with one warning', async (t) => {
  const { issuer, ask, log } = await start(t, {}, { maxAgeMs: 0, retryMs: 0, unknownKeyMs: 0 });
  t.match(await ask(await issuer.sign()), { user: 'ada' });
  issuer.away = true;
  for (const sub of ['bob', 'eve', 'joe']) t.match(await ask(await issuer.sign({ sub })), { user: sub });
  const unknown = await issuer.sign({}, { kid: 'unknown' });
  t.match(await ask(unknown), { code: 'ERR_UNAVAILABLE' }, 'it may be a new key');
  issuer.away = false;
  t.match(await ask(unknown), { code: 'ERR_UNAUTHORIZED' }, 'which the issuer alone can tell');
  t.same(log.filter((line) => line.includes('those that are known count on')).length, 1);
});

void t.test(
  'metadata of another issuer, and keys at an address that is not to be asked, are not believed',
  async (t) => {
    const { createServer } = await import('node:http');
    const issuer = await JwtIssuer.start();
    t.teardown(() => issuer.close());
    const answers = [
      { issuer: 'https://other.test', jwks_uri: `${issuer.url}/jwks` },
      { jwks_uri: `${issuer.url}/jwks` },
      { issuer: '', jwks_uri: 'http://192.0.2.1/jwks' },
      { issuer: '', jwks_uri: 'file:///etc/passwd' },
      { issuer: '' },
    ];
    for (const answer of answers) {
      const server = createServer((_request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(answer.issuer === '' ? { ...answer, issuer: url } : answer));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
      t.teardown(() => server.close());
      const { ask } = await start(t, { issuer: url }, {}, issuer);
      t.match(await ask(await issuer.sign({ iss: url })), { code: 'ERR_UNAVAILABLE' }, JSON.stringify(answer));
      server.closeAllConnections();
    }
  },
);
