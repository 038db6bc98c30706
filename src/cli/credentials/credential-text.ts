/** Shows tokens and users at a terminal; makes all that a server says safe first. Pure. */
import { counted } from '../../shared/counted.js';
import { inline } from '../terminal-text.js';
import type { Colors } from '../report.js';
import type { TokenInfo, UserInfo } from './credential-api.js';

export function tokensText(tokens: readonly TokenInfo[], colors: Colors, now: number): string {
  if (tokens.length === 0) return 'no token was made here: `fairlead token create NAME` makes one\n';
  const rows = tokens.map((token) => [
    token.id,
    token.user,
    [token.role, ...token.groups].join(' '),
    `made ${dateOf(token.createdAt)} by ${token.createdBy}`,
    expiryOf(token, now),
    token.lastUsedAt === undefined
      ? 'never used'
      : `used ${timeOf(token.lastUsedAt)} from ${token.lastUsedFrom ?? '?'}`,
    token.note ?? '',
  ]);
  return table(rows, (cells, index) => ((tokens[index]!.expiresAt ?? Infinity) <= now ? colors.dim(cells) : cells));
}

export function usersText(users: readonly UserInfo[], colors: Colors): string {
  if (users.length === 0) return 'no user has a token that was made here, nobody is connected, and nobody is blocked\n';
  const rows = users.map(({ user, tokens, sockets, blocked }) => [
    user,
    counted(tokens, 'token'),
    counted(sockets, 'connection'),
    blocked ? `blocked ${timeOf(blocked.since)} by ${blocked.by}${blocked.reason ? `: ${blocked.reason}` : ''}` : '',
  ]);
  return table(rows, (line, index) => (users[index]!.blocked ? colors.red(line) : line));
}

export function madeText(token: TokenInfo & { token: string }, now: number): string {
  const { id, user, role, groups } = token;
  const groupsText = groups.length > 0 ? `, groups ${groups.join(' ')}` : '';
  return [
    `The token of ${inline(user)} (${inline(role)}${inline(groupsText, 500)}), shown only this once:`,
    '',
    inline(token.token),
    '',
    `It is valid now, on every server of this store; it ${expiryOf(token, now)}.`,
    `To end it: fairlead token revoke ${inline(id)}`,
    '',
  ].join('\n');
}

/** `90d`, `12h`, `30m`, `2w`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, count = '', unit = ''] = /^(\d{1,5})([mhdwy])$/.exec(text) ?? [];
  const ms = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000, y: 365 * 86_400_000 }[unit];
  return ms === undefined || Number(count) === 0 ? undefined : Number(count) * ms;
}

function expiryOf({ expiresAt }: TokenInfo, now: number): string {
  if (expiresAt === undefined) return 'does not expire';
  return expiresAt <= now ? `expired ${timeOf(expiresAt)}` : `expires ${timeOf(expiresAt)}`;
}

function table(rows: readonly string[][], paint: (line: string, index: number) => string): string {
  const safe = rows.map((cells) => cells.map((cell) => inline(cell, 300)));
  const widths = safe[0]!.map((_, column) => Math.max(...safe.map((cells) => cells[column]!.length)));
  return safe
    .map((cells, index) => {
      const line = cells.map((cell, column) => cell.padEnd(widths[column]!)).join('  ');
      return `${paint(line.trimEnd(), index)}\n`;
    })
    .join('');
}

function timeOf(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ');
}

function dateOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
