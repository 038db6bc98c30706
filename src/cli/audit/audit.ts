/** `fairlead audit tail|search|verify`: reads the audit log in the data folder, also while a server writes it. Command line's process. */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChainedEntry, ChainEnd } from '../../audit/chain.js';
import { auditFolder, headFile, type LogName } from '../../audit/files.js';
import { LogFollower } from '../../audit/follower.js';
import { readLog } from '../../audit/read.js';
import { verifyLog } from '../../audit/verify.js';
import { AUDIT_ACTS, AUDIT_OUTCOMES } from '../../shared/audit.js';
import { FairleadError } from '../../shared/errors.js';
import { USER_NAME, USER_NAME_RULE } from '../../shared/person.js';
import { entryText, hasAdmitted, verdictText } from './audit-text.js';

const POLL_MS = 250;
const BATCH = 1_000;

export interface AuditCommandOptions {
  dataDir: string;
  json: boolean;
  write: (text: string) => void;
}

export interface AuditFilter {
  user?: string | undefined;
  session?: string | undefined;
  /** Its beginning is enough: `tool` finds all acts of tools. */
  what?: string | undefined;
  outcome?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export class AuditCommands {
  readonly #options: AuditCommandOptions;

  /** ERR_CONFIG where there is no log. */
  constructor(options: AuditCommandOptions) {
    const { dataDir } = options;
    if (!existsSync(auditFolder(dataDir)) && !existsSync(headFile(dataDir))) {
      throw new FairleadError(
        'ERR_CONFIG',
        `${dataDir} has no audit log: set FAIRLEAD_DATA to the server's data folder`,
      );
    }
    this.#options = options;
  }

  /** The last entries; with `follow` those that come, until the signal aborts. */
  async tail({ lines, follow, signal }: { lines: number; follow: boolean; signal: AbortSignal }): Promise<void> {
    const folder = auditFolder(this.#options.dataDir);
    const last: { entry: ChainedEntry; text: string }[] = [];
    let after = 0;
    for await (const { entry, text } of readLog(folder)) {
      if (!entry) continue;
      after = entry.n;
      last.push({ entry, text });
      if (last.length > lines) last.shift();
    }
    for (const { entry, text } of last) this.#show(entry, text);
    if (!follow) return;
    const follower = new LogFollower(folder, after);
    while (!signal.aborted) {
      const news = await follower.read(BATCH);
      for (const { entry, text } of news) this.#show(entry, text);
      if (news.length === 0) await delay(POLL_MS, undefined, { signal }).catch(() => undefined); // it has aborted
    }
  }

  /** ERR_CONFIG for what no entry can have: a slip must not look as if nothing had happened. */
  async search(filter: AuditFilter): Promise<void> {
    const { user, session, what, outcome } = filter;
    checkPossible(filter);
    const from = timeOf('--from', filter.from, 0);
    const to = timeOf('--to', filter.to, 1);
    // A file has no entries of a day after that on which its successor began.
    const wants = (log: LogName, next?: LogName): boolean =>
      (next === undefined || from === undefined || next.day >= from.slice(0, 10)) &&
      (to === undefined || log.day <= to.slice(0, 10));
    for await (const { entry, text } of readLog(auditFolder(this.#options.dataDir), wants)) {
      const isFound =
        entry !== undefined &&
        (user === undefined || entry.user === user) &&
        (session === undefined || entry.session === session) &&
        (what === undefined || entry.what.startsWith(what)) &&
        (outcome === undefined || entry.outcome === outcome) &&
        (from === undefined || entry.at >= from) &&
        (to === undefined || entry.at < to);
      if (isFound) this.#show(entry, text);
    }
  }

  /** Resolves with the exit code: 1 where the chain is broken, 2 where only what it says itself is missing. ERR_CONFIG for a hash that is none. */
  async verify(expect: readonly string[], after?: string): Promise<number> {
    const verdict = await verifyLog(this.#options.dataDir, {
      expect: expect.map((text) => toKnown('--expect', text)),
      ...(after !== undefined && { after: toKnown('--after', after) }),
    });
    this.#options.write(this.#options.json ? `${JSON.stringify(verdict)}\n` : verdictText(verdict));
    if (verdict.break) return 1;
    return hasAdmitted(verdict) ? 2 : 0;
  }

  #show(entry: ChainedEntry, text: string): void {
    this.#options.write(`${this.#options.json ? text : entryText(entry)}\n`);
  }
}

function checkPossible({ user, session, what, outcome }: AuditFilter): void {
  const acts = Object.keys(AUDIT_ACTS);
  if (what !== undefined && !acts.some((act) => act.startsWith(what))) {
    throw new FairleadError('ERR_CONFIG', `--what ${what}: no act begins so; there are ${acts.join(', ')}`);
  }
  if (outcome !== undefined && !AUDIT_OUTCOMES.some((each) => each === outcome)) {
    throw new FairleadError('ERR_CONFIG', `--outcome ${outcome}: write one of ${AUDIT_OUTCOMES.join(', ')}`);
  }
  if (user !== undefined && !USER_NAME.test(user)) {
    throw new FairleadError('ERR_CONFIG', `--user ${user}: ${USER_NAME_RULE}`);
  }
  if (session !== undefined && !/^[\w-]{1,128}$/.test(session)) {
    throw new FairleadError('ERR_CONFIG', `--session ${session}: a session is 1–128 of letters, digits, _ -`);
  }
}

/** As `at` of an entry. `days`: what a day without a time is counted up by. */
function timeOf(flag: string, given: string | undefined, days: 0 | 1): string | undefined {
  if (given === undefined) return undefined;
  const isDay = /^\d{4}-\d\d-\d\d$/.test(given);
  const time = Date.parse(given) + (isDay ? days * 86_400_000 : 0);
  if (Number.isNaN(time)) {
    throw new FairleadError(
      'ERR_CONFIG',
      `${flag} ${given}: write a day (2026-11-30) or a time (2026-11-30T16:00:00Z)`,
    );
  }
  return new Date(time).toISOString();
}

function toKnown(flag: string, text: string): ChainEnd {
  const [, n, sha256] = /^(\d{1,12}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (n === undefined || sha256 === undefined) {
    throw new FairleadError('ERR_CONFIG', `${flag} ${text}: write NUMBER:HASH, as verify has printed it`);
  }
  return { n: Number(n), sha256 };
}
