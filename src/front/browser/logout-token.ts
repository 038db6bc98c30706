/** Checks an issuer's log-out token (OpenID Connect Back-Channel Logout 1.0, section 2.6). Main thread. */
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from 'jose';
import { FairleadError } from '../../shared/errors.js';
import type { IssuerLogOut } from './login.js';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** The issuer sends it at once, and again while nobody answers. */
const MAX_AGE_S = 600;
/** Longer than an issuer's names are. */
const MAX_NAME = 512;

export interface LogOutTokenChecks {
  issuer: string;
  clientId: string;
  algorithms: readonly string[];
  clockSkewMs: number;
  keys: JWTVerifyGetKey;
  now: () => number;
}

/** ERR_BAD_FRAME with what is wrong; ERR_UNAVAILABLE where the issuer's keys cannot be had. */
export async function readLogOutToken(token: string, checks: LogOutTokenChecks): Promise<IssuerLogOut> {
  const { issuer, clientId, algorithms, clockSkewMs, keys, now } = checks;
  const { jwtVerify, errors } = await import('jose');
  const options: JWTVerifyOptions = {
    issuer,
    audience: clientId,
    algorithms: [...algorithms],
    clockTolerance: clockSkewMs / 1_000,
    currentDate: new Date(now()),
    maxTokenAge: MAX_AGE_S,
    // Some issuers send no exp, which came with the final version: the age bounds those.
    requiredClaims: ['iat', 'jti', 'events'],
  };
  let payload: JWTPayload;
  let typ: string | undefined;
  try {
    const verified = await jwtVerify(token, keys, options);
    payload = verified.payload;
    typ = verified.protectedHeader.typ;
  } catch (error) {
    const { JWKSTimeout, JWKSInvalid, JOSEError } = errors;
    if (error instanceof JOSEError && !(error instanceof JWKSTimeout) && !(error instanceof JWKSInvalid)) {
      if (error.code !== 'ERR_JOSE_GENERIC') throw bad(`the log-out token is not valid (${error.code})`);
    }
    throw new FairleadError('ERR_UNAVAILABLE', 'the issuer’s keys cannot be read now', { cause: error });
  }
  // An ID token of the same user passes all the checks above, so what tells them apart is checked, too.
  if (typ !== undefined && !/^(application\/)?(logout\+)?jwt$/i.test(typ))
    throw bad(`a log-out token is no ${typ.slice(0, 40)}`);
  const { events, sub, sid, nonce, iat } = payload as JWTPayload & Record<'events' | 'sid' | 'nonce', unknown>;
  if (!isObject(events) || !isObject(events[EVENT])) throw bad('the token is no log-out token: it has no such event');
  if (nonce !== undefined) throw bad('a log-out token has no nonce');
  const named = { sub: nameOf(sub), sid: nameOf(sid) };
  if (named.sub === undefined && named.sid === undefined) throw bad('the log-out token names neither sub nor sid');
  return {
    issuer,
    issuedAt: iat!,
    ...(named.sub !== undefined && { sub: named.sub }),
    ...(named.sid !== undefined && { sid: named.sid }),
  };
}

function nameOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '' && value.length <= MAX_NAME) return value;
  throw bad('sub and sid are texts of a few hundred characters at most');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(message: string): FairleadError {
  return new FairleadError('ERR_BAD_FRAME', message);
}
