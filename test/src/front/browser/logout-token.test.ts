import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import t from 'tap';
import { readLogOutToken } from '../../../../src/front/browser/logout-token.js';

const ISSUER = 'https://issuer.test';
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} };
const NOW = 1_700_000_000;

const pair = await generateKeyPair('ES256', { extractable: true });
const other = await generateKeyPair('ES256');
const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' };
const checks = {
  issuer: ISSUER,
  clientId: 'fairlead',
  algorithms: ['ES256', 'RS256'],
  clockSkewMs: 30_000,
  keys: createLocalJWKSet({ keys: [jwk] }),
  now: () => NOW * 1_000,
};
const GOOD = {
  iss: ISSUER,
  aud: 'fairlead',
  sub: 'ada',
  sid: 's1',
  iat: NOW,
  exp: NOW + 120,
  jti: 'j1',
  events: EVENTS,
};

function sign(
  payload: Record<string, unknown>,
  head: { typ?: string; kid?: string } = {},
  key = pair.privateKey,
): Promise<string> {
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...head }).sign(key);
}

t.test('a log-out token of the issuer tells whose sessions end', async (t) => {
  const { sub: _sub, ...ofSession } = GOOD;
  const { sid: _sid, ...ofUser } = GOOD;
  const { exp: _exp, ...older } = GOOD;
  t.same(await readLogOutToken(await sign(GOOD), checks), { issuer: ISSUER, sub: 'ada', sid: 's1', issuedAt: NOW });
  t.same(await readLogOutToken(await sign(ofSession), checks), { issuer: ISSUER, sid: 's1', issuedAt: NOW });
  t.same(await readLogOutToken(await sign(ofUser, { typ: 'logout+jwt' }), checks), {
    issuer: ISSUER,
    sub: 'ada',
    issuedAt: NOW,
  });
  t.same(await readLogOutToken(await sign(older, { typ: 'JWT' }), checks), {
    issuer: ISSUER,
    sub: 'ada',
    sid: 's1',
    issuedAt: NOW,
  });
  t.ok(await readLogOutToken(await sign({ ...GOOD, aud: ['x', 'fairlead'] }), checks));
});

t.test('what is not this issuer’s log-out token for this client, of now, is refused', async (t) => {
  const bad: Record<string, Record<string, unknown>> = {
    'another issuer': { ...GOOD, iss: 'https://evil.test' },
    'another client': { ...GOOD, aud: 'other' },
    over: { ...GOOD, exp: NOW - 60 },
    'of the future': { ...GOOD, iat: NOW + 600 },
    'old, without an end': { ...GOOD, iat: NOW - 3_600, exp: NOW + 600 },
    'an ID token': { ...GOOD, events: undefined },
    'another event': { ...GOOD, events: { 'http://schemas.openid.net/event/other': {} } },
    'an event that is no object': { ...GOOD, events: { 'http://schemas.openid.net/event/backchannel-logout': true } },
    'events that are a list': { ...GOOD, events: ['http://schemas.openid.net/event/backchannel-logout'] },
    'with a nonce': { ...GOOD, nonce: 'n' },
    'of nobody': { ...GOOD, sub: undefined, sid: undefined },
    'without jti': { ...GOOD, jti: undefined },
    'without iat': { ...GOOD, iat: undefined },
    'a sid that is a number': { ...GOOD, sid: 1 },
    'an empty sub': { ...GOOD, sub: '', sid: undefined },
    'a long sid': { ...GOOD, sid: 'x'.repeat(10_000) },
  };
  for (const [what, payload] of Object.entries(bad)) {
    await t.rejects(readLogOutToken(await sign(payload), checks), { code: 'ERR_BAD_FRAME' }, what);
  }
  await t.rejects(readLogOutToken(await sign(GOOD, { typ: 'at+jwt' }), checks), { code: 'ERR_BAD_FRAME' });
  await t.rejects(readLogOutToken(await sign(GOOD, {}, other.privateKey), checks), { code: 'ERR_BAD_FRAME' });
  await t.rejects(readLogOutToken(await sign(GOOD, { kid: 'k2' }), checks), { code: 'ERR_BAD_FRAME' });
  await t.rejects(readLogOutToken(new UnsecuredJWT(GOOD).encode(), checks), { code: 'ERR_BAD_FRAME' });
  for (const text of ['', 'x', 'a.b.c', 'x'.repeat(10_000)]) {
    await t.rejects(readLogOutToken(text, checks), { code: 'ERR_BAD_FRAME' });
  }
  const secret = new TextEncoder().encode(JSON.stringify(jwk));
  const hmac = await new SignJWT(GOOD).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(secret);
  await t.rejects(readLogOutToken(hmac, checks), { code: 'ERR_BAD_FRAME' });
  const listed = { ...checks, algorithms: ['RS256'] };
  await t.rejects(
    readLogOutToken(await sign(GOOD), listed),
    { code: 'ERR_BAD_FRAME' },
    'an algorithm that is not listed',
  );
});
