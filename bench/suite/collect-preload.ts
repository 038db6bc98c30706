/** Loaded into each thread of a measured process (collect.ts): at SIGUSR2 all threads collect their garbage, and one log line says what is left. */
import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads';
import type { Collected, ThreadHeap } from './collect.js';

/** An ended thread does not answer, and one in a long turn answers late. */
const PATIENCE_MS = 10_000;

type Said = { type: 'here'; thread: number } | { type: 'collect'; count: number } | HeldMessage;

interface HeldMessage {
  type: 'held';
  count: number;
  held: ThreadHeap;
}

// Otherwise a collection drops code that has not run for a while, which would count as freed by sessions.
setFlagsFromString('--no-flush-bytecode');
const channel = new BroadcastChannel('fairlead-bench-collect');
channel.unref();

if (isMainThread) beMain();
else beWorker();

function beMain(): void {
  const known = new Set<number>();
  let count = 0;
  let missing = new Set<number>();
  let threads: ThreadHeap[] = [];
  let late: NodeJS.Timeout | undefined;
  const finish = (): void => {
    clearTimeout(late);
    for (const gone of missing) known.delete(gone);
    missing = new Set();
    const line: Collected & { level: number } = { level: 30, msg: 'collected', count, threads };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  const take = ({ count: of, held }: Omit<HeldMessage, 'type'>): void => {
    if (of !== count || !missing.delete(held.thread)) return;
    threads.push(held);
    if (missing.size === 0) finish();
  };
  listen((said) => {
    if (said.type === 'here') known.add(said.thread);
    if (said.type === 'held') take(said);
  });
  process.on('SIGUSR2', () => {
    const round = ++count;
    missing = new Set([threadId, ...known]);
    threads = [];
    tell({ type: 'collect', count: round });
    clearTimeout(late);
    late = setTimeout(finish, PATIENCE_MS);
    void collect().then((held) => take({ count: round, held }));
  });
}

function beWorker(): void {
  listen((said) => {
    if (said.type === 'collect') void collect().then((held) => tell({ type: 'held', count: said.count, held }));
  });
  tell({ type: 'here', thread: threadId });
}

/** As under memory pressure: free pages also go back to the kernel, which `gc()` leaves for later. */
async function collect(): Promise<ThreadHeap> {
  const session = new Session();
  session.connect();
  await new Promise<void>((resolve, reject) => {
    session.post('HeapProfiler.collectGarbage', (error) => (error ? reject(error) : resolve()));
  });
  session.disconnect();
  const { heapUsed, external } = process.memoryUsage();
  return { thread: threadId, heap: heapUsed, external };
}

function listen(take: (said: Said) => void): void {
  channel.onmessage = (event: unknown) => take((event as { data: Said }).data);
}

function tell(said: Said): void {
  channel.postMessage(said);
}
