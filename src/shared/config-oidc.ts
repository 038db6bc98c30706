/** The configuration's part `auth.oidc`: the organisation's OpenID Connect issuer. Main thread and command line. */
import { z } from 'zod';
import { glob } from './config-fields.js';
import { GROUP_NAME_RULE, isGroupName } from './person.js';

/** Signatures by a key pair. `none` and HMAC are not on it: with them whoever knows the public keys could sign. */
export const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** Longer ones than clocks of machines on a network differ would only make ended tokens live on. */
const MAX_SKEW_MS = 300_000;

const claim = z.string().min(1).max(200);
const groups = z.array(z.string().refine(isGroupName, GROUP_NAME_RULE)).max(1_000).default([]);

export const oidcSchema = z
  .strictObject({
    issuer: z.url().max(500).describe('As its tokens name it in `iss`, to the letter'),
    audiences: z
      .array(z.string().min(1).max(500))
      .max(20)
      .default([])
      .describe('JWTs for one of these are taken as bearer tokens; empty = no JWT is'),
    clientId: z.string().max(500).default('').describe('For the log-in of browsers; empty = there is none'),
    clientSecret: z.string().max(4_096).default('').describe('Empty = a public client, with PKCE alone'),
    scope: z
      .string()
      .regex(/^(?:.* )?openid(?: .*)?$/, 'must contain openid')
      .max(1_000)
      .default('openid profile email'),
    userClaim: claim.default('sub').describe('Names the user. With `email` the issuer must have verified it'),
    groupsClaim: claim.default('groups').describe('A claim’s name, or a path such as realm_access.roles'),
    groups: z
      .array(glob)
      .max(200)
      .default(['*'])
      .describe('Groups that are kept, as globs; who has more than 200 of them is refused'),
    onlyGroups: groups.describe('Only members of one of these groups get in; empty = everybody whom the issuer knows'),
    roles: z
      .strictObject({ operator: groups, admin: groups })
      .prefault({})
      .describe('The groups whose members are operators and admins; everybody else is a user'),
    algorithms: z
      .array(z.enum(JWT_ALGORITHMS))
      .min(1)
      .default(['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'])
      .describe('Signatures that are taken'),
    clockSkewMs: z
      .number()
      .int()
      .min(0)
      .max(MAX_SKEW_MS)
      .default(30_000)
      .describe('How far the issuer’s clock and this one may differ'),
  })
  .describe('An OpenID Connect issuer whose users get in');

export type OidcConfig = z.infer<typeof oidcSchema>;

/** What is wrong with it, by key. */
export function* oidcProblems(oidc: OidcConfig): Generator<{ key: string; message: string }> {
  const { issuer, audiences, clientId } = oidc;
  const problem = issuerProblem(issuer);
  if (problem !== undefined) yield { key: 'issuer', message: problem };
  if (audiences.length === 0 && clientId === '') {
    yield { key: 'audiences', message: 'is empty, and so is clientId: then nobody gets in by this issuer' };
  }
}

function issuerProblem(issuer: string): string | undefined {
  const { protocol, hostname, search, hash, username, password } = new URL(issuer);
  if (search !== '' || hash !== '' || username !== '' || password !== '') {
    return 'must be an address without credentials, ? and #';
  }
  if (protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))) return undefined;
  return 'must be https: only on this machine it may be http';
}

/** Of a URL, so IPv6 in brackets. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
