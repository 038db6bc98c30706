/**
 * Loaded into the server's process before it starts (`node --import`), in every thread: lets a test do to the first agent
 * thread what cannot be done from outside. SIGUSR2: its event loop stands still for good. SIGPWR: its heap runs full.
 * SIGWINCH: a fault in it.
 */
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';
import type { AgentWorkerData } from '../../../workers/agent/contract/lifecycle.js';

type Blow = 'hang' | 'fill' | 'die';

const channel = new BroadcastChannel('blows');
channel.unref();

if (isMainThread) {
  const blows: [NodeJS.Signals, Blow][] = [
    ['SIGUSR2', 'hang'],
    ['SIGPWR', 'fill'],
    ['SIGWINCH', 'die'],
  ];
  for (const [signal, blow] of blows) process.on(signal, () => channel.postMessage(blow));
} else {
  channel.onmessage = ({ data }: { data: Blow }) => {
    // Read only now: a spare thread is told late whose place it takes.
    if ((workerData as Partial<AgentWorkerData> | null)?.index !== 0) return;
    // Not from here: what a handler of a channel throws is an event of its own.
    setImmediate(() => strike(data));
  };
}

function strike(blow: Blow): void {
  switch (blow) {
    case 'hang':
      for (;;);
    case 'fill': {
      const held: number[][] = [];
      for (;;) held.push(Array.from({ length: 10_000 }, (_, index) => index));
    }
    case 'die':
      throw new Error('the agent thread dies');
  }
}
