/** Which settings count at once when the file is read again, and which need a restart; and what two configurations differ in. Pure; main thread. */
import { isDeepStrictEqual } from 'node:util';
import { deepFreeze, type Config } from '../shared/config.js';

/** Each is a key of the schema that is no section: a test compares this list and the next one with the schema. */
export const LIVE_KEYS = [
  'listen.hosts',
  'listen.origins',
  'auth.tokens',
  'auth.support',
  'model.name',
  'model.allow',
  'model.groups',
  'model.maxTokens',
  'model.maxRounds',
  'model.thinkingTokens',
  'model.timeoutMs',
  'model.historyTokens',
  'model.system',
  'store.sessionTtlMs',
  'store.history.maxBytes',
  'sandbox.toolTimeoutMs',
  'approvals.default',
  'approvals.timeoutMs',
  'approvals.rules',
  'limits.maxBytesPerSecond',
  'limits.maxReadsPerSecond',
  'limits.perAddress.pendingSockets',
  'limits.perAddress.requestsPerSecond',
  'limits.perAddress.openRequests',
  'limits.maxInFlight',
  'limits.maxModelCalls',
  'limits.modelWaitMs',
  'limits.maxSocketsPerUser',
  'limits.maxFileTransfers',
  'limits.maxConnections',
  'limits.maxToolResultBytes',
  'limits.maxToolImageBytes',
  'limits.maxImageSide',
  'prices.currency',
  'prices.models',
  'prices.tools',
  'budgets',
  'usage.keepDays',
  'quotas.default.maxSessions',
  'quotas.default.maxSockets',
  'quotas.default.maxMessagesPerMinute',
  'quotas.default.maxTurns',
  'quotas.default.maxSandboxes',
  'quotas.default.maxWorkspaceBytes',
  'quotas.default.maxHistoryBytes',
  'quotas.groups',
  'quotas.users',
  'quotas.failOpen',
  'mcp.toolNames',
  'mcp.toolTokens',
  'mcp.pins.onChange',
  'mcp.pins.servers',
  'mcp.requestTimeoutMs',
  'mcp.silenceMs',
  'mcp.allowLoopback',
  'mcp.allowHosts',
  'logLevel',
  'mcpServers',
  'images',
] as const;

/** A section stands for all its keys, also those of a later version: what nobody has made live needs a restart. */
export const RESTART_KEYS = [
  'listen.host', // the sockets that listen
  'listen.port',
  'listen.tls', // which files; what is in them is read at once
  'listen.trustedProxies', // whose requests count as whose
  'listen.drainTimeoutMs',
  'listen.socketIo', // the routes of the sockets that listen
  'metrics',
  'auth.mode',
  'auth.oidc',
  'auth.browsers',
  'agents',
  'model.provider',
  'store.redisUrl',
  'store.timeoutMs',
  'store.eventLog',
  'sandbox.driver',
  'sandbox.runtime',
  'sandbox.network',
  'sandbox.memoryMb',
  'sandbox.cgroupParent',
  'sandbox.cpus',
  'sandbox.pids',
  'sandbox.workspaceMb',
  'sandbox.tmpMb',
  'sandbox.shmMb',
  'sandbox.hibernateAfterMs',
  'sandbox.reuse',
  'sandbox.pool',
  'sandbox.budget',
  'sandbox.uids',
  'sandbox.checkpoint',
  'sandbox.leaseTimeoutMs',
  'sandbox.startTimeoutMs',
  'limits.maxFrameBytes', // of the listener's WebSockets
  'limits.maxUnsentBytes',
  'limits.idleTimeoutMs',
  'audit',
  'mcp.publicUrl', // cookies, and the client ids that authorization servers know
  'mcp.idleMs',
  'mcp.maxConnections',
  'allowHostCommands',
] as const;

/** Of maps: what was added, removed or changed in them is told by name. */
const MAPS: ReadonlySet<string> = new Set([
  'quotas.groups',
  'quotas.users',
  'model.groups',
  'mcp.pins.servers',
  'mcpServers',
  'images',
]);

export interface ConfigDiff {
  /** Keys that count from now on. Of maps each entry: `quotas.users.ada added`. */
  live: string[];
  /** Keys whose change counts after a restart. */
  restart: string[];
}

export function diffConfigs(before: Config, after: Config): ConfigDiff {
  const changed = (key: string): boolean => differs(key, before, after);
  const live = LIVE_KEYS.filter((key) => changed(key));
  const blocked = live.filter((key) => switchesAccess(key, before, after));
  return {
    live: live.filter((key) => !blocked.includes(key)).flatMap((key) => told(key, before, after)),
    restart: [...RESTART_KEYS.filter((key) => changed(key)), ...blocked],
  };
}

/** What counts when `after` is read while `before` runs: the live keys of `after`, all else of `before`. */
export function effectiveConfig(before: Config, after: Config): Config {
  const { source: _source, ...kept } = before;
  const result: Config = { ...kept, ...(after.source && { source: after.source }) };
  const own = new Set<string>();
  for (const key of LIVE_KEYS) {
    if (!switchesAccess(key, before, after)) setAt(result, key, valueAt(after, key), own);
  }
  return deepFreeze(result);
}

/**
 * Between no tokens and some: the token of the data folder, and the browsers that came in by it, count only without any, and which
 * sandboxes may be used depends on it.
 */
function switchesAccess(key: string, before: Config, after: Config): boolean {
  return key === 'auth.tokens' && (before.auth.tokens.length === 0) !== (after.auth.tokens.length === 0);
}

function told(key: string, before: Config, after: Config): string[] {
  if (!MAPS.has(key)) return [key];
  const [old, now] = [valueAt(before, key) as Entries, valueAt(after, key) as Entries];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const entries = names.flatMap((name) => {
    if (!Object.hasOwn(old, name)) return [`${key}.${name} added`];
    if (!Object.hasOwn(now, name)) return [`${key}.${name} removed`];
    return isDeepStrictEqual(old[name], now[name]) ? [] : [`${key}.${name}`];
  });
  // Only the order has changed, which decides whose tool has a name that two servers have.
  return entries.length === 0 ? [key] : entries;
}

type Entries = Readonly<Record<string, unknown>>;

function differs(key: string, before: Config, after: Config): boolean {
  const [old, now] = [valueAt(before, key), valueAt(after, key)];
  if (!isDeepStrictEqual(old, now)) return true;
  // Deep equality does not see the order of a map's entries.
  return MAPS.has(key) && !isDeepStrictEqual(Object.keys(old as Entries), Object.keys(now as Entries));
}

function valueAt(config: Config, key: string): unknown {
  let value: unknown = config;
  for (const part of key.split('.')) value = (value as Entries | undefined)?.[part];
  return value;
}

/** `own`: the sections of which `config` has a copy of its own. */
function setAt(config: Config, key: string, value: unknown, own: Set<string>): void {
  const parts = key.split('.');
  const last = parts.pop()!;
  let section = config as unknown as Record<string, unknown>;
  let path = '';
  for (const part of parts) {
    path += `${part}.`;
    if (!own.has(path)) section[part] = { ...(section[part] as object) };
    own.add(path);
    section = section[part] as Record<string, unknown>;
  }
  if (value === undefined) delete section[last];
  else section[last] = value;
}
