/** The chain of the audit log: each line has its number and the SHA-256 of the line before it. Pure. */
import { createHash } from 'node:crypto';
import type { AuditOutcome } from '../shared/audit.js';

/** The last entry of a log, and what the next one must name. */
export interface ChainEnd {
  /** 0: the log is empty. */
  n: number;
  /** Of the line's bytes without its line break. */
  sha256: string;
}

export const EMPTY: ChainEnd = { n: 0, sha256: '0'.repeat(64) };

/** An entry as a line tells it. Fields that were not known are absent. */
export interface ChainedEntry {
  n: number;
  at: string;
  what: string;
  user?: string;
  credential?: string;
  address?: string;
  session?: string;
  outcome: AuditOutcome;
  about?: Record<string, unknown>;
  prev: string;
}

/** The line of the next entry, without a line break. `entry`: a JSON object. */
export function nextLine(end: ChainEnd, entry: string): string {
  return `{"n":${end.n + 1},${entry.slice(1, -1)},"prev":"${end.sha256}"}`;
}

export function endAfter(n: number, line: string | Uint8Array): ChainEnd {
  return { n, sha256: createHash('sha256').update(line).digest('hex') };
}

/** Undefined for a line that is no entry. */
export function parseLine(line: string): ChainedEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { n, at, what, prev } = value as Record<string, unknown>;
  const isEntry =
    Number.isSafeInteger(n) &&
    typeof at === 'string' &&
    typeof what === 'string' &&
    /^[0-9a-f]{64}$/.test(String(prev));
  return isEntry ? (value as ChainedEntry) : undefined;
}
