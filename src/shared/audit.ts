/**
 * The audit log as each thread sees it: who did what, in which session, with which outcome. Never a prompt, a result or a
 * secret. The main thread writes the entries; docs/audit.md has the format. Every thread.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { auditedArguments, type AuditedArguments } from './audit-arguments.js';
import { cutText } from './cut-text.js';
import { FairleadError } from './errors.js';
import type { Who } from './person.js';
import { withoutHalves } from './to-json.js';

/** What an entry tells. docs/audit.md prints this table. */
export const AUDIT_ACTS = {
  audit_started: 'The server has opened the log',
  audit_stopped: 'The server has closed the log',
  audit_failed: 'The log could not be written from here on, until the entries after this one',
  audit_missing: 'Entries are missing here: they could not be written, or the files were changed while no server ran',
  audit_removed: 'Files that were older than `audit.keepDays` were removed',
  config_loaded: 'The server runs with this configuration, named by its digest',
  login: 'A credential was used from an address for the first time in a while',
  login_failed: 'A credential was refused',
  logout: 'Somebody has logged out',
  credential_ended: 'A credential has ended or was revoked, and its connections were closed',
  token_made: 'A token was made',
  token_revoked: 'A token was revoked',
  user_blocked: 'A user was blocked',
  user_unblocked: 'A user is no longer blocked',
  user_deleted: 'A user was deleted with everything that was theirs',
  user_exported: 'A user has exported what is kept of them',
  session_made: 'A session was made',
  session_deleted: 'A session was deleted',
  history_cleared: 'The history of a session was cleared',
  message_accepted: 'A message was accepted',
  turn_cancelled: 'A turn was stopped by somebody',
  tool_asked: 'Somebody is asked whether a tool may run',
  tool_allowed: 'A tool may run: `by` says whether a rule, the user or an earlier yes allows it',
  tool_denied: 'A tool may not run',
  tool_run: 'A tool starts to run',
  tool_done: 'A tool has ended',
  tool_pinned: 'Definitions of tools were pinned, or differ from their pins',
  resource_read: 'A resource or a prompt of an MCP server was asked for',
  files_changed: 'Somebody uploads, moves or deletes files of a session',
  mcp_login: 'Somebody has logged in to an MCP server, or out of it',
  budget_reached: 'A budget is used up',
  admin: 'An administrator’s or operator’s act',
  support_look: 'An administrator has read somebody’s session',
} as const satisfies Record<string, string>;

export type AuditAct = keyof typeof AUDIT_ACTS;

export const AUDIT_OUTCOMES = ['ok', 'refused', 'failed'] as const;

export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** Who acts. Absent fields: the server itself, or a turn that goes on without its user. */
export interface AuditedWho {
  user?: string | undefined;
  /** The credential's id, never the credential. */
  credential?: string | undefined;
  address?: string | undefined;
}

/** The fields of an entry that tell who has asked. */
export function auditedAs(user: string, who: Pick<Who, 'credential' | 'address'> | undefined): AuditedWho {
  return { user, credential: who?.credential, address: who?.address };
}

type Fact = string | number | boolean | null | undefined | readonly string[];

export interface AuditEntry extends AuditedWho {
  what: AuditAct;
  session?: string | undefined;
  /** Absent: `ok`. */
  outcome?: AuditOutcome;
  /** What else is known, in short: names, ids, numbers. Never a user's or a server's text. */
  about?: Readonly<Record<string, Fact>>;
  /** Of a call. They are written as `audit.arguments` says: as a digest, or without what looks like a secret. */
  args?: Record<string, unknown> | undefined;
}

/** Where a thread's entries go: to the writer, or to the main thread. */
export interface AuditSink {
  arguments: AuditedArguments;
  /** JSON objects without a line break, of a bounded length. */
  post(entry: string): void;
  /** Resolves when the entry and those before it are on the disk, as far as `audit.sync` promises that. */
  stored(entry: string): Promise<void>;
  /** Hands on what was gathered. Absent: nothing is. */
  flush?(): void;
}

/** Longest string of an entry, in characters. */
const MAX_TEXT = 300;
const MAX_LIST = 20;

let sink: AuditSink | undefined;

/** The thread's entry file calls it once. Until then, and where the audit log is off, entries go nowhere. */
export function auditTo(to: AuditSink | undefined): void {
  sink = to;
}

/** Records an entry. Never throws and never waits: see `audited` for what must not happen without its entry. */
export function audit(entry: AuditEntry): void {
  sink?.post(auditText(entry, sink.arguments));
}

/**
 * Records an entry before what it tells happens: with `audit.sync` `each` it resolves when the entry is on the disk, else at once.
 * ERR_UNAVAILABLE where the log cannot be written and `audit.onFailure` is `refuse`.
 */
export async function audited(entry: AuditEntry): Promise<void> {
  if (!sink) return;
  refuseUnaudited();
  await sink.stored(auditText(entry, sink.arguments));
}

/** For a thread that is about to close its channel. */
export function flushAudit(): void {
  sink?.flush?.();
}

/** The entry as JSON. Strings in it are bounded. */
export function auditText(
  { what, user, credential, address, session, outcome = 'ok', about, args }: AuditEntry,
  how: AuditedArguments,
): string {
  const told = Object.entries(about ?? {}).filter(([, fact]) => fact !== undefined);
  const facts = {
    ...Object.fromEntries(told.map(([name, fact]) => [name, bounded(fact)])),
    ...(args && auditedArguments(args, how)),
  };
  return withoutHalves(
    JSON.stringify({
      at: new Date().toISOString(),
      what,
      user: short(user),
      credential: short(credential),
      address: short(address),
      session: short(session),
      outcome,
      ...(Object.keys(facts).length > 0 && { about: facts }),
    }),
  );
}

function short(text: string | undefined): string | undefined {
  return text === undefined ? undefined : cutText(text, MAX_TEXT);
}

function bounded(fact: Fact): Fact {
  if (typeof fact === 'string') return cutText(fact, MAX_TEXT);
  if (Array.isArray(fact)) return fact.slice(0, MAX_LIST).map((item: string) => cutText(item, MAX_TEXT));
  return fact;
}

/** The key of the gate in Node's environment data, which every new thread gets. */
const KEY = 'fairlead.audit-gate';
const RETRY_MS = 5_000;

/** Closed while work must be refused because its entries cannot be kept. Main thread. */
export class AuditGate {
  readonly #shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #state = new Int32Array(this.#shared);
  /** By what needs the gate closed. */
  readonly #reasons = new Map<string, string>();

  /** For this thread, and for those that start from now on. */
  constructor() {
    setEnvironmentData(KEY, this.#shared);
    gate = this.#state;
  }

  /** `reason` undefined: `part` is well again. */
  set(part: string, reason: string | undefined): void {
    if (reason === undefined) this.#reasons.delete(part);
    else this.#reasons.set(part, reason);
    Atomics.store(this.#state, 0, this.#reasons.size);
  }

  /** For /readyz. */
  reasons(): string[] {
    return [...this.#reasons.values()];
  }
}

let gate: Int32Array | undefined;

/** Whether work is refused since its entries cannot be kept. */
export function isUnaudited(): boolean {
  if (!gate) {
    const shared = getEnvironmentData(KEY) as SharedArrayBuffer | undefined;
    if (!shared) return false;
    gate = new Int32Array(shared);
  }
  return Atomics.load(gate, 0) > 0;
}

/** ERR_UNAVAILABLE while work is refused since its entries cannot be kept. */
export function refuseUnaudited(): void {
  if (isUnaudited()) throw unauditedError();
}

export function unauditedError(): FairleadError {
  const told = 'the audit log cannot be written, and nothing is done without it (audit.onFailure): try again later';
  return new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: RETRY_MS });
}
