/** Who acts, and with which rights, as it travels between threads. Every thread; pure. */

export const ROLES = ['user', 'operator', 'admin'] as const;

/** `operator` sees the system without anybody's content; `admin` also changes it. Each may do what the one before may. */
export type Role = (typeof ROLES)[number];

/** What rules and limits know of a user beside the name. */
export interface Standing {
  role: Role;
  groups: readonly string[];
}

/** Who acts, as a valid credential says. */
export interface Person extends Standing {
  user: string;
  /** Which credential: a token's id, `oidc`, `cookie`, `file`, `local`. Never a secret. */
  credential: string;
  /** When the credential ends, ms since the epoch. Absent: it does not end by itself. */
  expiresAt?: number;
}

/** A person as an agent thread gets to know them, beside the `user` of a request. */
export interface Who extends Standing {
  credential: string;
  /** Where the request comes from: an address, of IPv6 its /64. */
  address: string;
  expiresAt?: number;
}

/** Of everybody of whom nothing else is known: no rule that asks for a group or a role lets them in. */
export const NO_STANDING: Standing = { role: 'user', groups: [] };

/** A user's name, also as an issuer may give it: it stands in keys, logs and addresses. */
export const USER_NAME = /^(?=.*[A-Za-z0-9])[\w.@+|-]{1,128}$/;
export const USER_NAME_RULE = 'a user is 1–128 of letters, digits, _ . @ + | -, with a letter or a digit';

const MAX_GROUP_NAME = 128;

/** A group is named as its issuer names it: a path, a title, a number. */
export function isGroupName(name: string): boolean {
  // No control, format or line-breaking characters: it is shown in lists and logs.
  return name.length >= 1 && name.length <= MAX_GROUP_NAME && !/[\p{C}\p{Zl}\p{Zp}]/u.test(name);
}
export const GROUP_NAME_RULE = `a group is 1–${MAX_GROUP_NAME} characters, none of them a control character`;

/** Whether the role is at least `needed`. */
export function hasRole({ role }: Pick<Standing, 'role'>, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export function whoOf({ role, groups, credential, expiresAt }: Person, address: string): Who {
  return { role, groups, credential, address, ...(expiresAt !== undefined && { expiresAt }) };
}

export function standingOf(who: Standing | undefined): Standing {
  return who === undefined ? NO_STANDING : { role: who.role, groups: who.groups };
}

export function sameStanding(one: Standing, other: Standing): boolean {
  if (one.role !== other.role || one.groups.length !== other.groups.length) return false;
  return one.groups.every((group, index) => group === other.groups[index]);
}
