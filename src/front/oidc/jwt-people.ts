/** People who come with a JWT of the organisation's issuer as their bearer token. Main thread. */
import type { errors, JWTPayload, JWTVerifyResult } from 'jose';
import { LRUCache } from 'lru-cache';
import type { OidcConfig } from '../../shared/config-oidc.js';
import { FairleadError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import type { Person } from '../../shared/person.js';
import type { Proxies } from '../../shared/proxies.js';
import { claimsReader, type ReadClaims } from './claims.js';
import { IssuerKeys, type IssuerKeysOptions } from './issuer-keys.js';

/** Tokens whose verdict is kept; sockets of one token share the person. */
const MAX_KEPT = 10_000;
/** A kept verdict is looked at again after so long, so that a key that is withdrawn does not count on. */
const KEPT_MS = 60_000;
/** Dates of JavaScript end here. */
const LAST_MS = 8.64e15;

const SHAPE = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** Access tokens (RFC 9068), ID tokens, and the many that do not say. Log-out tokens and proofs are JWTs of the same issuer. */
const TYPES = new Set([undefined, 'jwt', 'at+jwt']);

export interface JwtPeopleOptions {
  oidc: OidcConfig;
  proxies: Proxies;
  log: Logger;
  pauses?: IssuerKeysOptions['pauses'];
}

export class JwtPeople {
  readonly #oidc: OidcConfig;
  readonly #read: ReadClaims;
  readonly #keys: IssuerKeys;
  readonly #kept = new LRUCache<string, Person>({ max: MAX_KEPT, ttl: KEPT_MS, ttlResolution: 0 });

  constructor({ oidc, ...options }: JwtPeopleOptions) {
    this.#oidc = oidc;
    this.#read = claimsReader(oidc);
    this.#keys = new IssuerKeys({ ...options, issuer: oidc.issuer }, () => this.#kept.clear());
  }

  /** Reads the issuer's keys ahead. Never rejects. */
  warm(): Promise<void> {
    return this.#keys.warm();
  }

  /** Whether it looks like a JWT, and JWTs are taken. */
  takes(token: string): boolean {
    return this.#oidc.audiences.length > 0 && SHAPE.test(token);
  }

  /** `key`: names the token and tells nothing of it. Never rejects. */
  identify(token: string, key: string): Person | Promise<Person | FairleadError> {
    const known = this.#kept.get(key);
    return known && known.expiresAt! > Date.now() ? known : this.#verify(token, key);
  }

  async #verify(token: string, key: string): Promise<Person | FairleadError> {
    const { issuer, audiences, algorithms, clockSkewMs } = this.#oidc;
    let verified: JWTVerifyResult;
    try {
      const { jwtVerify } = await import('jose'); // loaded only where there is an issuer
      verified = await jwtVerify(token, this.#keys.keyFor, {
        issuer,
        audience: audiences,
        algorithms,
        clockTolerance: clockSkewMs / 1_000,
        requiredClaims: ['exp'],
      });
    } catch (error) {
      return error instanceof FairleadError ? error : refusal(whyNot(error));
    }
    const { payload, protectedHeader } = verified;
    const misused = misuse(payload, protectedHeader.typ);
    if (misused !== undefined) return refusal(misused);
    const person = this.#read(payload);
    if ('refused' in person) return refusal(person.refused);
    const known: Person = { ...person, credential: 'oidc', expiresAt: endOf(payload.exp!, clockSkewMs) };
    this.#kept.set(key, known);
    return known;
  }
}

/** A signature and an audience alone do not make it a bearer token. */
function misuse(payload: JWTPayload, typ: string | undefined): string | undefined {
  if (!TYPES.has(typ?.toLowerCase().replace(/^application\//, ''))) return 'the JWT is of another type (typ)';
  // RFC 9449 and RFC 8705: it counts only together with the proof of a key, which nobody checks here.
  if (payload['cnf'] !== undefined) return 'the JWT is bound to a key (cnf), and is no bearer token';
  // OpenID Connect Back-Channel Logout 1.0 forbids issuers without `typ` nothing else.
  if (payload['events'] !== undefined) return 'the JWT tells an event, and is no bearer token';
  return undefined;
}

/** The token's own end; one that is taken only by the tolerance ends with that. */
function endOf(exp: number, clockSkewMs: number): number {
  const end = exp * 1_000;
  return Math.min(end > Date.now() ? end : end + clockSkewMs, LAST_MS);
}

function refusal(why: string): FairleadError {
  return new FairleadError('ERR_UNAUTHORIZED', why);
}

/** By the claim that is wrong. */
const WRONG_CLAIM: Readonly<Record<string, string>> = {
  iss: 'the JWT is of another issuer (iss)',
  aud: 'the JWT is for another audience (aud)',
  nbf: 'the JWT does not count yet (nbf)',
  exp: 'the JWT has no end (exp)',
};

/** By jose's code. */
const WRONG: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'the JWT has expired',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the JWT is signed with an algorithm that is not taken (alg)',
  ERR_JWKS_NO_MATCHING_KEY: 'the JWT is signed with a key that the issuer does not have (kid)',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the JWT does not say which key of the issuer it is signed with (kid)',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature of the JWT is not the issuer’s',
};

/** In words for whoever sent it, without anything of its text. */
function whyNot(error: unknown): string {
  const { code, claim } = error as Partial<errors.JWTClaimValidationFailed>;
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') {
    return WRONG_CLAIM[String(claim)] ?? 'a claim of the JWT is not as it must be';
  }
  return WRONG[String(code)] ?? 'the JWT is malformed';
}
