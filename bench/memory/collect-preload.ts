/** Loaded into a measured process (`node --import`): at SIGUSR2 every thread collects its garbage, and one line says what is left. */
import { Session } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads';

/** What one thread holds after a collection, in bytes. */
export interface ThreadHeap {
  thread: number;
  heap: number;
  external: number;
}

type Said = { type: 'here'; thread: number } | { type: 'collect' } | { type: 'collected'; held: ThreadHeap };

// Code that has not run for a few collections would go, and be no session's gain.
setFlagsFromString('--no-flush-bytecode');
const channel = new BroadcastChannel('fairlead-bench-collect');
channel.unref();

/** As under memory pressure: free pages go back to the kernel too, which `gc()` leaves for later. */
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

function say(said: Said): void {
  channel.postMessage(said);
}

if (isMainThread) {
  const threads = new Set<number>();
  const all: ThreadHeap[] = [];
  let count = 0;
  const finish = (held: ThreadHeap): void => {
    all.push(held);
    if (all.length <= threads.size) return;
    const line = { level: 30, msg: 'collected', count, threads: all.toSorted((a, b) => a.thread - b.thread) };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  channel.onmessage = (event: unknown) => {
    const { data } = event as { data: Said };
    if (data.type === 'here') threads.add(data.thread);
    if (data.type === 'collected') finish(data.held);
  };
  process.on('SIGUSR2', () => {
    count += 1;
    all.length = 0;
    say({ type: 'collect' });
    void collect().then(finish);
  });
} else {
  channel.onmessage = (event: unknown) => {
    const { data } = event as { data: Said };
    if (data.type === 'collect') void collect().then((held) => say({ type: 'collected', held }));
  };
  say({ type: 'here', thread: threadId });
}
