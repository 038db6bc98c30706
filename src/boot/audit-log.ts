/** Opens the audit log: its writer, its gate, its metrics, and what agent threads hand to it. Main thread. */
import { auditFolder, headFile } from '../audit/files.js';
import { AuditWriter } from '../audit/writer.js';
import { audit, AuditGate, auditText, auditTo } from '../shared/audit.js';
import type { Config } from '../shared/config.js';
import type { Logger } from '../shared/log.js';
import { counter, gauge } from '../shared/metrics.js';
import { VERSION } from '../shared/version.js';
import { openSinks } from './audit-sinks.js';
import { configDigest } from './config-digest.js';

export interface AuditLog {
  /** Why work is refused; for /readyz. */
  reasons(): string[];
  /** Entries of agent threads, in their order. */
  post(entries: readonly string[]): void;
  /** Resolves as `audited` does. */
  stored(entries: readonly string[]): Promise<void>;
  /** Records the stop, and waits until the disk has all entries. */
  close(): Promise<void>;
}

/** The caller holds the data folder. Threads that start later see the gate. */
export function openAuditLog(config: Config, log: Logger): AuditLog {
  if (!config.audit.enabled) {
    return { reasons: () => [], post: () => undefined, stored: async () => undefined, close: async () => undefined };
  }
  const { dataDir, audit: settings } = config;
  const gate = new AuditGate();
  const writer = new AuditWriter({
    place: { folder: auditFolder(dataDir), head: headFile(dataDir) },
    config: settings,
    gate,
    log,
    entry: (entry) => auditText(entry, settings.arguments),
    onWritten: () => sinks.wake(),
  });
  auditTo({
    arguments: settings.arguments,
    post: (entry) => writer.post(entry),
    stored: (entry) => writer.stored(entry),
  });
  watch(writer);
  const sinks = openSinks(config, { gate, log, newest: () => writer.opened() });
  audit({ what: 'audit_started', about: { version: VERSION, pid: process.pid } });
  audit({ what: 'config_loaded', about: { ...configDigest(config) } });
  return {
    reasons: () => gate.reasons(),
    post: (entries) => {
      for (const entry of entries) writer.post(entry);
    },
    stored: async (entries) => {
      for (const entry of entries.slice(0, -1)) writer.post(entry);
      await writer.stored(entries.at(-1) ?? '');
    },
    close: async () => {
      audit({ what: 'audit_stopped' });
      auditTo(undefined);
      await writer.close();
      await sinks.close();
    },
  };
}

let watched: AuditWriter | undefined;

function watch(writer: AuditWriter): void {
  watched = writer;
}

counter('fairlead_audit_entries_total', 'Entries of the audit log', ['state'], () => {
  if (!watched) return [];
  const { written, missing } = watched.counts;
  return [
    { labels: { state: 'written' }, count: written },
    { labels: { state: 'missing' }, count: missing },
  ];
});
gauge('fairlead_audit_waiting', 'Entries of the audit log that are not written yet', [], (g) => {
  g.set(watched?.counts.waiting ?? 0);
});
