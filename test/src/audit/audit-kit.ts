/** An audit log in a folder of its own, with the writer of the server and nothing around it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import type { Test } from 'tap';
import type { AuditEntry } from '../../../src/shared/audit.js';
import { auditFolder, headFile } from '../../../src/audit/files.js';
import { AuditWriter, type AuditWriterOptions } from '../../../src/audit/writer.js';

export interface Kit {
  dataDir: string;
  gate: Map<string, string>;
  logged: string[];
  /** A writer as a start of the server makes it. */
  open(options?: Partial<Omit<AuditWriterOptions, 'config'> & AuditWriterOptions['config']>): AuditWriter;
  /** Names of the files, in order. */
  files(): string[];
  /** Lines of all files. */
  lines(): string[];
  entries(): Record<string, unknown>[];
}

export const entryOf = ({ what, ...rest }: AuditEntry): string =>
  JSON.stringify({ at: new Date().toISOString(), what, outcome: 'ok', ...rest });

export function auditKit(t: Test, dataDir = tempDir(t)): Kit {
  const gate = new Map<string, string>();
  const logged: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const files = (): string[] => readdirSync(auditFolder(dataDir)).sort();
  const lines = (): string[] =>
    files().flatMap((name) =>
      readFileSync(join(auditFolder(dataDir), name), 'utf8')
        .split('\n')
        .slice(0, -1),
    );
  return {
    dataDir,
    gate,
    logged,
    files,
    lines,
    entries: () => lines().map((line) => JSON.parse(line) as Record<string, unknown>),
    open: ({ sync = 'second', onFailure = 'refuse', maxFileBytes = 1_000_000, keepDays = 0, ...options } = {}) => {
      const writer = new AuditWriter({
        place: { folder: auditFolder(dataDir), head: headFile(dataDir) },
        config: { sync, onFailure, maxFileBytes, keepDays },
        gate: { set: (part, reason) => void (reason === undefined ? gate.delete(part) : gate.set(part, reason)) },
        log,
        entry: entryOf,
        ...options,
      });
      t.teardown(() => writer.close());
      return writer;
    },
  };
}

export function tempDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'fl-audit-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function message(n: number): string {
  return entryOf({ what: 'message_accepted', user: 'ada', session: `s${n}` });
}
