/** What stays in the process of a session that has hibernated: the docker thread's side of it, on real containers. Benches. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { getHeapSnapshot } from 'node:v8';
import { MessageChannel } from 'node:worker_threads';
import type { Logger } from '../src/shared/log.js';
import { Archives } from '../workers/docker/archive/archives.js';
import { DockerDriver } from '../workers/docker/driver/docker-driver.js';
import { SandboxManager } from '../workers/docker/sandbox-manager.js';
import { benchConfig, inParallel, table } from './report.js';
import { HeldSandbox } from './shelf.js';

const AT_ONCE = 4;
const WARM_UP = 40;
/** Kinds of heap that grow as code gets hot, whoever runs it. */
const V8_OWN = new Set(['code', 'hidden', 'object shape']);
const WRITE = { name: 'write_file', arguments: { path: 'kept.txt', content: 'of a person\n' } };

export interface HibernatedOptions {
  sessions: number;
  folder: string;
  log: Logger;
  stopping: AbortSignal;
}

/** Each leases, writes a file and hibernates; what the heap holds more afterwards is what they leave. */
export async function memoryPerHibernated(options: HibernatedOptions): Promise<string> {
  const { sessions, folder, log, stopping } = options;
  const pool = { min: AT_ONCE * 2, max: AT_ONCE * 2, maxStarting: AT_ONCE };
  const config = benchConfig(folder, { pool });
  const driver = new DockerDriver(config, `bench-${randomUUID()}`, log);
  const archives = new Archives({
    folder: join(folder, 'hibernated'),
    maxBytes: 1_000_000,
    timeoutMs: 60_000,
    log,
  });
  const sandboxes = new SandboxManager({ config, instance: `bench-${randomUUID()}`, driver, archives, log });
  const hibernateOne = async (): Promise<void> => {
    stopping.throwIfAborted();
    const { port1, port2 } = new MessageChannel();
    const { sandbox } = await sandboxes.lease({ session: randomUUID(), server: 'workspace', port: port2 });
    const held = new HeldSandbox(sandbox, 0, port1);
    await held.call(WRITE);
    const { files } = await sandboxes.hibernate(sandbox);
    held.close();
    if (files !== 1) throw new Error(`${files} files were saved`);
  };
  try {
    await archives.load();
    sandboxes.open();
    // Code that is compiled once, and what is kept of the newest few, are not what a session costs.
    await inParallel(WARM_UP, AT_ONCE, hibernateOne);
    const before = await heapByKind();
    await inParallel(sessions, AT_ONCE, hibernateOne);
    const after = await heapByKind();
    const { length: held } = await archives.sessions();
    if (held !== WARM_UP + sessions) throw new Error(`${held} sessions are hibernated`);
    return describe(sessions, before, after);
  } finally {
    await sandboxes.close();
  }
}

interface HeapSnapshot {
  snapshot: { meta: { node_fields: string[]; node_types: [string[]] } };
  nodes: number[];
}

/** Bytes that are reachable, by V8's kinds of them. Taking a snapshot collects first. */
async function heapByKind(): Promise<Map<string, number>> {
  const { snapshot, nodes } = (await json(getHeapSnapshot())) as HeapSnapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, size] = [fields.indexOf('type'), fields.indexOf('self_size')];
  const bytes = new Map<string, number>();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = types[0][nodes[at + type] ?? 0] ?? '';
    bytes.set(kind, (bytes.get(kind) ?? 0) + (nodes[at + size] ?? 0));
  }
  return bytes;
}

function describe(sessions: number, before: Map<string, number>, after: Map<string, number>): string {
  const grown = (wanted: (kind: string) => boolean): string[] => {
    const bytes = sumOf(after, wanted) - sumOf(before, wanted);
    return [String(bytes), (bytes / sessions).toFixed(0)];
  };
  const rows = [
    ['data', ...grown((kind) => !V8_OWN.has(kind))],
    ['compiled code and V8’s own, not by session', ...grown((kind) => V8_OWN.has(kind))],
  ];
  return `\n${table([`${sessions} hibernated sessions`, 'bytes more', 'a session'], rows)}`;
}

function sumOf(kinds: Map<string, number>, wanted: (kind: string) => boolean): number {
  return [...kinds].reduce((total, [kind, bytes]) => total + (wanted(kind) ? bytes : 0), 0);
}
