/**
 * Loaded into every thread of a server's process before it starts (`node --import`): does to its threads what cannot be done
 * from outside. Commands come over the Unix socket in CHAOS_SOCKET: `die docker`, `die agent 0`, `hang agent 1`; `reconcile`,
 * which runs the docker thread's reconciliation now; and `resources`, which is answered with what keeps the threads' loops alive.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';
import type { Reconciler as ReconcilerType } from '../../workers/docker/reconciler.js';

const GATHER_MS = 200;
const TOLD = new Set(['Timeout', 'MessagePort']);

type WorkerData = { driver?: string; index?: number } | null;

const channel = new BroadcastChannel('chaos-commands');
channel.unref();

if (isMainThread) {
  const path = process.env['CHAOS_SOCKET'];
  if (path) listen(path);
} else {
  const reconcile = (workerData as WorkerData)?.driver === undefined ? undefined : await patchReconciler();
  channel.onmessage = (message: unknown) => {
    const command = (message as { data: unknown }).data;
    const name = nameOf(workerData as WorkerData);
    // In a task of its own: an error that a channel's handler throws does not end the thread.
    if (command === `die ${name}`) setImmediate(die, name);
    if (command === `hang ${name}`) setImmediate(hang);
    if (command === 'reconcile') reconcile?.();
    if (command === 'resources') channel.postMessage({ resources: resourcesOf(name) });
  };
}

function listen(path: string): void {
  rmSync(path, { force: true }); // of a server that was killed
  const server = createServer((socket) => {
    socket.on('data', (line: Buffer) => {
      const command = line.toString().trim();
      if (command === 'resources') void gather().then((all) => socket.end(JSON.stringify(all)));
      else channel.postMessage(command);
    });
    socket.on('error', () => socket.destroy());
  });
  server.listen(path);
  server.unref();
}

/** Of all threads that answer in time, the spare one included. */
async function gather(): Promise<string[]> {
  const all: string[] = resourcesOf('main');
  channel.onmessage = (message: unknown) => {
    const { resources } = (message as { data: { resources?: string[] } }).data;
    if (resources) all.push(...resources);
  };
  channel.postMessage('resources');
  await delay(GATHER_MS);
  return all;
}

/** `agent 0: Timeout 3`. Sockets are left to whoever looks at open files. */
function resourcesOf(name: string): string[] {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].filter(([type]) => TOLD.has(type)).map(([type, count]) => `${name}: ${type} ${count}`);
}

/** Asked each time: a spare thread learns its index later. */
function nameOf(data: WorkerData): string {
  if (data?.driver !== undefined) return 'docker';
  return data?.index === undefined ? 'nobody' : `agent ${data.index}`;
}

/** Remembers the reconciler that the docker thread starts, and resolves with a function that runs it once more. */
async function patchReconciler(): Promise<() => void> {
  const { Reconciler } = await import('../../workers/docker/reconciler.js');
  const started = new Set<ReconcilerType>();
  const { start } = Object.getOwnPropertyDescriptors(Reconciler.prototype);
  Reconciler.prototype.start = function (this: ReconcilerType): void {
    started.add(this);
    start.value?.call(this);
  };
  return () => {
    for (const reconciler of started) void reconciler.reconcile();
  };
}

function die(name: string): void {
  throw new Error(`chaos: ${name} dies`);
}

function hang(): void {
  const for24Hours = performance.now() + 86_400_000;
  while (performance.now() < for24Hours);
}
