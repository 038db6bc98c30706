/**
 * Loaded into the measured server before it starts (`node --import`), in each of its threads, by this bench alone: on SIGUSR2
 * all threads collect their garbage, and a line on stdout says when they have. What a heap holds is only then to be seen.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads';

/** A thread that has ended does not answer. */
const PATIENCE_MS = 3_000;

type Message = { here: number } | { collect: number } | { collected: number; by: number };

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const channel = new BroadcastChannel('soak-collect');
channel.unref();

if (isMainThread) beMain();
else beWorker();

function beMain(): void {
  const known = new Set<number>();
  let round = 0;
  let missing = new Set<number>();
  let late: NodeJS.Timeout | undefined;
  const finish = (): void => {
    clearTimeout(late);
    for (const gone of missing) known.delete(gone);
    missing = new Set();
    process.stdout.write(`${JSON.stringify({ level: 30, msg: 'garbage collected', round })}\n`);
  };
  listen((message) => {
    if ('here' in message) known.add(message.here);
    if (!('collected' in message) || message.collected !== round || !missing.delete(message.by)) return;
    if (missing.size === 0) finish();
  });
  process.on('SIGUSR2', () => {
    round += 1;
    collect();
    missing = new Set(known);
    if (missing.size === 0) return finish();
    tell({ collect: round });
    late = setTimeout(finish, PATIENCE_MS);
  });
}

function beWorker(): void {
  listen((message) => {
    if (!('collect' in message)) return;
    collect();
    tell({ collected: message.collect, by: threadId });
  });
  tell({ here: threadId });
}

function listen(take: (message: Message) => void): void {
  channel.onmessage = (event: unknown) => take((event as { data: Message }).data);
}

function tell(message: Message): void {
  channel.postMessage(message);
}
