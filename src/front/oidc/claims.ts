/** Reads a person from the claims of an issuer that have been verified. Main thread; pure. */
import { nameGlob } from '../../shared/name-globs.js';
import type { OidcConfig } from '../../shared/config-oidc.js';
import { isGroupName, USER_NAME, USER_NAME_RULE, type Role, type Standing } from '../../shared/person.js';
import { LOCAL_USER } from '../../shared/token-file.js';

const MAX_GROUPS = 200;

export type Claims = Readonly<Record<string, unknown>>;
export type ClaimsSettings = Pick<OidcConfig, 'userClaim' | 'groupsClaim' | 'groups' | 'onlyGroups' | 'roles'>;

/** The user and their standing; or why they are refused, in words for them. */
export type ReadClaims = (claims: Claims) => (Standing & { user: string }) | Refused;

export function claimsReader(settings: ClaimsSettings): ReadClaims {
  const isKept = nameGlob(settings.groups);
  const { onlyGroups } = settings;
  return (claims) => {
    const user = userOf(settings, claims);
    if (typeof user !== 'string') return user;
    const groups = groupsOf(settings, claims, isKept);
    if (!Array.isArray(groups)) return groups;
    if (onlyGroups.length > 0 && !groups.some((group) => onlyGroups.includes(group))) {
      return { refused: `${user} is in no group that is let in here` };
    }
    return { user, groups, role: roleOf(settings, groups) };
  };
}

/** The highest role of these groups. */
export function roleOf({ roles }: Pick<ClaimsSettings, 'roles'>, groups: readonly string[]): Role {
  const has = (role: 'operator' | 'admin'): boolean => roles[role].some((group) => groups.includes(group));
  if (has('admin')) return 'admin';
  return has('operator') ? 'operator' : 'user';
}

export interface Refused {
  refused: string;
}

function userOf({ userClaim }: ClaimsSettings, claims: Claims): string | Refused {
  const user = valueAt(claims, userClaim);
  if (user === undefined) return { refused: `the claim ${userClaim} is missing` };
  // The text may be long, and of any characters: it is not repeated.
  if (typeof user !== 'string' || !USER_NAME.test(user)) {
    return { refused: `the claim ${userClaim} names no user: ${USER_NAME_RULE}` };
  }
  if (user === LOCAL_USER) return { refused: `the name ${LOCAL_USER} is that of this server's owner` };
  // Else whoever enters somebody's address at the issuer would be them.
  if (userClaim === 'email' && claims['email_verified'] !== true) {
    return { refused: 'the issuer has not verified the email (email_verified)' };
  }
  return user;
}

function groupsOf(
  { groupsClaim }: ClaimsSettings,
  claims: Claims,
  isKept: (group: string) => boolean,
): string[] | Refused {
  const found = valueAt(claims, groupsClaim);
  // Entra leaves long lists out, and says where they could be asked for. Without them a rule against a group would not hold.
  const elsewhere = claims['_claim_names'];
  const isElsewhere = (isObject(elsewhere) && Object.hasOwn(elsewhere, groupsClaim)) || claims['hasgroups'] === true;
  if (found === undefined && isElsewhere) {
    return { refused: 'the issuer has left the groups out of the token, since there are many of them' };
  }
  const listed = Array.isArray(found) ? (found as unknown[]) : [found];
  const names = listed.filter((name): name is string => typeof name === 'string' && isGroupName(name) && isKept(name));
  const groups = [...new Set(names)];
  if (groups.length > MAX_GROUPS) {
    return { refused: `more than ${MAX_GROUPS} groups: auth.oidc.groups says which are kept` };
  }
  return groups;
}

/** A claim by its name, or by a path: names may have dots themselves, as those with a domain. */
function valueAt(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let at: unknown = claims;
  for (const key of name.split('.')) {
    if (!isObject(at) || !Object.hasOwn(at, key)) return undefined;
    at = at[key];
  }
  return at;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
