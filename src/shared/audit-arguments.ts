/** The arguments of a call as the audit log keeps them: their digest, or themselves without what looks like a secret. Pure; every thread. */
import { createHash } from 'node:crypto';
import { cutText } from './cut-text.js';
import { redact } from './redact.js';

export type AuditedArguments = 'digest' | 'full';

/** Longer arguments are kept as their beginning. */
const MAX_CHARS = 16_384;

export interface ArgumentFacts {
  /** SHA-256 of their JSON, keys sorted on every level, no spaces. */
  argsSha256: string;
  argsBytes: number;
  /** JSON, redacted. */
  args?: string;
  /** `args` is only their beginning. */
  argsCut?: true;
}

export function auditedArguments(args: Record<string, unknown>, how: AuditedArguments): ArgumentFacts {
  const json = sortedJson(args);
  const facts: ArgumentFacts = {
    argsSha256: createHash('sha256').update(json).digest('hex'),
    argsBytes: Buffer.byteLength(json),
  };
  if (how === 'digest') return facts;
  // Redacted before it is cut: half a secret is no longer seen as one.
  const shown = json === UNREADABLE ? UNREADABLE : sortedJson(redact(args));
  const cut = shown.length > MAX_CHARS;
  return { ...facts, args: cut ? cutText(shown, MAX_CHARS) : shown, ...(cut && { argsCut: true }) };
}

const UNREADABLE = 'null';

/** Arguments come out of JSON, with a bound on their levels. Should some be deeper, the call is still recorded. */
function sortedJson(value: unknown): string {
  try {
    return JSON.stringify(value, sortKeys) ?? UNREADABLE;
  } catch {
    return UNREADABLE;
  }
}

function sortKeys(_key: string, item: unknown): unknown {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
  return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
