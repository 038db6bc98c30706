/** Where the audit log goes beside its files, and what happens while a sink that must have it is behind. Main thread. */
import { join } from 'node:path';
import { auditFolder } from '../audit/files.js';
import { httpTarget } from '../audit/http-target.js';
import { AuditForwarder, type SinkTarget } from '../audit/sink.js';
import { syslogTarget } from '../audit/syslog-target.js';
import type { AuditGate } from '../shared/audit.js';
import type { Config } from '../shared/config.js';
import type { Logger } from '../shared/log.js';
import { gauge } from '../shared/metrics.js';

const BATCH = 500;
const LOOK_MS = 1_000;

export interface AuditSinks {
  wake(): void;
  close(): Promise<void>;
}

let watched: [name: string, sink: AuditForwarder][] = [];

gauge('fairlead_audit_behind_seconds', 'How long entries wait for a sink of the audit log', ['sink'], (g) => {
  for (const [sink, { behindMs }] of watched) g.set({ sink }, behindMs / 1000);
});

export interface AuditSinksParts {
  gate: Pick<AuditGate, 'set'>;
  log: Logger;
  /** The newest entry of the log as it was found: a new sink begins after it. */
  newest: () => Promise<number>;
}

export function openSinks({ dataDir, audit }: Config, { gate, log, newest }: AuditSinksParts): AuditSinks {
  const { syslog, http, maxBehindMs } = audit;
  const targets: [name: string, target: SinkTarget, required: boolean][] = [];
  if (syslog.url !== '') targets.push(['syslog', syslogTarget(syslog), syslog.required]);
  if (http.url !== '') targets.push(['http', httpTarget(http), http.required]);
  const folder = auditFolder(dataDir);
  const sinks = targets.map(([name, target, required]) => {
    const cursor = join(dataDir, `audit-sent-${name}`);
    const sink = new AuditForwarder({ name, folder, cursor, newest, batch: BATCH, target, log });
    sink.start();
    return { name, required, sink };
  });
  watched = sinks.map(({ name, sink }) => [name, sink]);
  const look = (): void => {
    for (const { name, required, sink } of sinks) {
      const late = required && sink.behindMs > maxBehindMs;
      gate.set(`audit.${name}`, late ? `the audit log is not taken by audit.${name}` : undefined);
    }
  };
  const timer = sinks.some(({ required }) => required) ? setInterval(look, LOOK_MS) : undefined;
  timer?.unref();
  return {
    wake: () => {
      for (const { sink } of sinks) sink.wake();
    },
    close: async () => {
      clearInterval(timer);
      await Promise.all(sinks.map(({ sink }) => sink.close()));
    },
  };
}
