/**
 * Loaded into the server's process before it starts (`node --import`), in every thread: does to its threads what cannot be
 * done from outside. Commands come over the Unix socket in CHAOS_SOCKET: `die docker`, `die agent 0`, `hang agent 1`, and
 * `resources`, which is answered with what keeps the threads' loops alive.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

const GATHER_MS = 200;
const TOLD = new Set(['Timeout', 'MessagePort']);

const channel = new BroadcastChannel('chaos-commands');
channel.unref();

if (isMainThread) {
  const path = process.env['CHAOS_SOCKET'];
  if (path) listen(path);
} else {
  channel.onmessage = (message: unknown) => {
    const command = (message as { data: unknown }).data;
    const name = nameOf(workerData as { driver?: string; index?: number } | null);
    // Not from here: what a handler of a channel throws is an event of its own.
    if (command === `die ${name}`) setImmediate(die, name);
    if (command === `hang ${name}`) setImmediate(hang);
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

/** Of all threads that answer in time; a spare one among them. */
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

/** Asked each time: a spare thread is told only later which one it is. */
function nameOf(data: { driver?: string; index?: number } | null): string {
  if (data?.driver !== undefined) return 'docker';
  return data?.index === undefined ? 'nobody' : `agent ${data.index}`;
}

function die(name: string): void {
  throw new Error(`chaos: ${name} dies`);
}

function hang(): void {
  const for24Hours = performance.now() + 86_400_000;
  while (performance.now() < for24Hours);
}
