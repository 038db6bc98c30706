/** Shows what operators ask for as tables; makes all that a server says safe first. Pure. */
import { inline } from '../terminal-text.js';
import type { ListedUser, SandboxInfo, SessionInfo, UserFacts } from './admin-api.js';

const UNITS: [ms: number, letter: string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
];
const BYTES = ['B', 'KB', 'MB', 'GB', 'TB'];

export function sessionsText(sessions: readonly SessionInfo[], now: number): string {
  if (sessions.length === 0) return 'no session fits\n';
  const rows = sessions.map((each) => [
    each.session,
    each.user,
    stateOf(each),
    agoOf(each.createdAt, now),
    agoOf(each.lastActiveAt, now),
    String(each.turns),
    each.historyBytes === undefined ? '' : bytesOf(each.historyBytes),
    each.model,
    each.server,
  ]);
  return table(['SESSION', 'USER', 'STATE', 'AGE', 'UNUSED', 'TURNS', 'SIZE', 'MODEL', 'SERVER'], rows);
}

export function sandboxesText(sandboxes: readonly SandboxInfo[], now: number): string {
  if (sandboxes.length === 0) return 'no sandbox fits\n';
  const rows = sandboxes.map((each) => [
    shortId(each.sandbox),
    each.state,
    each.session ?? '',
    each.user ?? '',
    each.leasedAt === undefined ? '' : agoOf(each.leasedAt, now),
    each.memoryBytes === undefined ? '' : bytesOf(each.memoryBytes),
    each.server,
    each.image,
  ]);
  return table(['SANDBOX', 'STATE', 'SESSION', 'USER', 'AGE', 'MEMORY', 'MCP SERVER', 'IMAGE'], rows);
}

export function usersText(users: readonly ListedUser[], now: number): string {
  if (users.length === 0) return 'no user is known\n';
  const rows = users.map(({ user, sessions, sockets, tokens, lastSeenAt, blocked, deleting }) => [
    user,
    String(sessions),
    String(sockets),
    String(tokens),
    lastSeenAt === undefined ? 'never' : `${agoOf(lastSeenAt, now)} ago`,
    deleting ? 'is being deleted' : blocked ? `${agoOf(blocked.since, now)} ago by ${blocked.by}` : '',
  ]);
  return table(['USER', 'SESSIONS', 'CONNECTIONS', 'TOKENS', 'LAST SEEN', 'BLOCKED'], rows);
}

/** As `docker ps` prints a container's. */
function shortId(id: string): string {
  return /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id;
}

export function userText(facts: UserFacts, now: number): string {
  const { user, sockets, tokens, sessions, lastSeenAt, usage, blocked, deleting, historyBytes, workspaceBytes } = facts;
  const rows: [string, string][] = [
    ['user', user],
    ['sessions', String(sessions)],
    ['connections', `${sockets} at this server`],
    ['tokens', `${tokens} that were made here`],
    ['last seen', lastSeenAt === undefined ? 'never' : `${agoOf(lastSeenAt, now)} ago`],
    ['history', historyBytes > 0 ? bytesOf(historyBytes) : 'not counted'],
    ['workspaces', workspaceBytes > 0 ? bytesOf(workspaceBytes) : 'not counted'],
    [
      'this month',
      usage
        ? `${usage.inputTokens} tokens in, ${usage.outputTokens} out, ${usage.amount.toFixed(2)} ${usage.currency}`
        : 'nothing used',
    ],
    ...(blocked ? [['blocked', `${agoOf(blocked.since, now)} ago by ${blocked.by}`] as [string, string]] : []),
    ...(deleting ? [['deleting', `${agoOf(deleting.since, now)} ago by ${deleting.by}`] as [string, string]] : []),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${inline(value, 300)}\n`).join('');
}

function stateOf({ running, queued, pending }: SessionInfo): string {
  if (pending > 0) return 'waiting';
  return running || queued > 0 ? 'running' : 'idle';
}

/** `3d`, `4h`, `5m`, `6s`. */
export function agoOf(at: number, now: number): string {
  const ms = Math.max(0, now - at);
  const [size, letter] = UNITS.find(([unit]) => ms >= unit) ?? [1_000, 's'];
  return `${Math.floor(ms / size)}${letter}`;
}

export function bytesOf(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < BYTES.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${BYTES[unit]}`;
}

/** `10MB`, `512kB`, `1.5 GB`, or bytes; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const [, number = '', letter = ''] = /^(\d{1,12}(?:\.\d{1,3})?) ?([kmgt]?)b?$/i.exec(text) ?? [];
  if (number === '') return undefined;
  return Math.round(Number(number) * 1_000 ** ['', 'k', 'm', 'g', 't'].indexOf(letter.toLowerCase()));
}

/** The head, then the rows, in columns. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const safe = [head, ...rows].map((cells) => cells.map((cell) => inline(cell, 128)));
  const widths = head.map((_, column) => Math.max(...safe.map((cells) => cells[column]!.length)));
  return safe
    .map(
      (cells) =>
        `${cells
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
