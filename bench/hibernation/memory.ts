/** Measures the heap that a hibernated session keeps in the docker thread, on real containers. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { getHeapSnapshot } from 'node:v8';
import { MessageChannel } from 'node:worker_threads';
import { createLog } from '../../src/shared/log.js';
import { Archives } from '../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../workers/docker/driver/docker-driver.js';
import { SandboxManager } from '../../workers/docker/sandbox-manager.js';
import { HeldSandbox } from '../shared/warm-pool.js';
import { benchConfig, inParallel } from '../shared/work.js';

const AT_ONCE = 4;
const WARM_UP = 40;
/** Kinds of heap that grow as code gets hot, whatever runs it. */
const V8_OWN = new Set(['code', 'hidden', 'object shape']);
const WRITE = { name: 'write_file', arguments: { path: 'kept.txt', content: 'of a user\n' } };

export interface HibernatedOptions {
  sessions: number;
  folder: string;
  signal: AbortSignal;
}

/** In bytes. */
export interface HeapGrowth {
  data: number;
  /** Compiled code and what V8 keeps for itself. */
  code: number;
}

/** Each session leases, writes a file and hibernates; what the heap holds more afterwards is what they keep. */
export async function hibernatedMemory({ sessions, folder, signal }: HibernatedOptions): Promise<HeapGrowth> {
  const log = createLog('bench', 'warn');
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
    signal.throwIfAborted();
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
    // Code that is compiled once, and caches of the newest few, are not what a session costs.
    await inParallel(WARM_UP, AT_ONCE, hibernateOne);
    const before = await heapByKind();
    await inParallel(sessions, AT_ONCE, hibernateOne);
    const after = await heapByKind();
    const { length: held } = await archives.sessions();
    if (held !== WARM_UP + sessions) throw new Error(`${held} sessions are hibernated`);
    const grown = (wanted: (kind: string) => boolean): number => sumOf(after, wanted) - sumOf(before, wanted);
    return { data: grown((kind) => !V8_OWN.has(kind)), code: grown((kind) => V8_OWN.has(kind)) };
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

function sumOf(kinds: Map<string, number>, wanted: (kind: string) => boolean): number {
  return [...kinds].reduce((total, [kind, bytes]) => total + (wanted(kind) ? bytes : 0), 0);
}
