/** The bad one, in a process of its own: a session that takes what it can get, or, for comparison, a mere busy loop. */
import { Worker } from 'node:worker_threads';
import { BadSession } from './bad-session.js';
import type { BadContract, BadDeeds } from './messages.js';
import { serve } from './serve.js';

interface Bad {
  deeds: () => BadDeeds;
  stop: () => Promise<unknown>;
}

let bad: Bad | undefined;

serve<BadContract>({
  start: async ({ kind, url, threads, thread }) => {
    if (bad) throw new Error('there is a bad one already');
    bad = kind === 'burn' ? await startBurning() : await BadSession.start(url, kind, { threads, thread });
    return null;
  },
  deeds: () => (bad ? Promise.resolve(bad.deeds()) : Promise.reject(new Error('there is no bad one'))),
  stop: async () => {
    await bad?.stop();
    bad = undefined;
    return null;
  },
});

/** One processor, and nothing that the server has to do with. */
async function startBurning(): Promise<Bad> {
  const worker = new Worker('for (;;);', { eval: true });
  await new Promise<void>((resolve) => worker.once('online', () => resolve()));
  let since = performance.now();
  return {
    deeds: () => {
      const seconds = (performance.now() - since) / 1_000;
      since = performance.now();
      return { seconds, count: 0, megabytes: 0, problems: [] };
    },
    stop: () => worker.terminate(),
  };
}
