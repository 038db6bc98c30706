/** A user's limits, as the configuration gives them to a name and groups, and what is said when one is reached. Every thread; pure. */
import type { Config } from './config.js';
import type { QuotaLimits } from './config-quotas.js';
import { FairleadError } from './errors.js';

export type QuotaName = keyof QuotaLimits;

/** Every limit of one user; 0: none. */
export type Quota = Readonly<Record<QuotaName, number>>;

export type QuotaConfig = Pick<Config, 'quotas'> & { limits: Pick<Config['limits'], 'maxInFlight'> };

interface Of {
  user: string;
  groups: readonly string[];
}

/** A limit that was reached: nothing was done. */
export interface QuotaExcess {
  limit: QuotaName;
  max: number;
  /** What counts now, without what was asked for. */
  used: number;
  /** When the same may be asked for again, ms since the epoch. Absent: when something of it ends. */
  resetAt?: number;
}

const NAMES: readonly QuotaName[] = [
  'maxSessions',
  'maxSockets',
  'maxMessagesPerMinute',
  'maxTurns',
  'maxSandboxes',
  'maxWorkspaceBytes',
  'maxHistoryBytes',
];

/** How each is told, with its number before it. */
const TOLD: Record<QuotaName, string> = {
  maxSessions: 'sessions are this user’s limit: delete one that is not needed',
  maxSockets: 'connections are this user’s limit: close one',
  maxMessagesPerMinute: 'messages a minute are this user’s limit',
  maxTurns: 'turns at once are this user’s limit, over all sessions: wait for one to end, or cancel one',
  maxSandboxes: 'sandboxes at once are this user’s limit: one is free again when a session has not used it for a while',
  maxWorkspaceBytes: 'bytes of saved workspaces are this user’s limit: delete files or sessions',
  maxHistoryBytes: 'bytes of history are this user’s limit: reset or delete sessions',
};

const RETRY_MS = 1_000;

/** Undefined: no part of `quotas` says. By name: the user’s own, else the most generous of the groups, else the default. */
export function limitOf({ quotas }: Pick<Config, 'quotas'>, { user, groups }: Of, name: QuotaName): number | undefined {
  const own = entryOf(quotas.users, user)?.[name];
  if (own !== undefined) return own;
  const ofGroups = groups.map((group) => entryOf(quotas.groups, group)?.[name]);
  return mostGenerous(ofGroups) ?? quotas.default[name];
}

export function quotaOf(config: QuotaConfig, of: Of): Quota {
  const quota: Partial<Record<QuotaName, number>> = {};
  for (const name of NAMES) {
    quota[name] = limitOf(config, of, name) ?? (name === 'maxTurns' ? config.limits.maxInFlight : 0);
  }
  return quota as Quota;
}

/** Whether anybody may have this limit: where nobody has, nothing is counted. */
export function isLimited({ quotas, limits }: QuotaConfig, name: QuotaName): boolean {
  const everybody = quotas.default[name] ?? (name === 'maxTurns' ? limits.maxInFlight : 0);
  const others = [...Object.values(quotas.groups), ...Object.values(quotas.users)].map((entry) => entry[name] ?? 0);
  return everybody > 0 || others.some((max) => max > 0);
}

export function quotaError({ limit, max, used, resetAt }: QuotaExcess, now = Date.now()): FairleadError {
  const retryAfterMs = resetAt === undefined ? RETRY_MS : Math.max(1, resetAt - now);
  const when = resetAt === undefined ? '' : `; try again in ${Math.ceil(retryAfterMs / 1_000)} s`;
  return new FairleadError('ERR_QUOTA', `${max} ${TOLD[limit]}${when} (quotas.${limit})`, {
    retryAfterMs,
    details: { limit, max, used, ...(resetAt === undefined ? {} : { resetAt }) },
  });
}

/** 0 is no limit, so it is the most generous of all. */
function mostGenerous(limits: readonly (number | undefined)[]): number | undefined {
  const given = limits.filter((max) => max !== undefined);
  if (given.length === 0) return undefined;
  return given.includes(0) ? 0 : Math.max(...given);
}

/** Names come from tokens: `constructor` is one without an entry. */
function entryOf(entries: Readonly<Record<string, QuotaLimits>>, name: string): QuotaLimits | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined;
}
