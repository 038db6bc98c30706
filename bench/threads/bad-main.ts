/** The bad one, in a process of its own: a session that takes what it can get, or, for comparison, its tool without Fairlead. */
import { BarePrinter } from './bare-printer.js';
import { BadSession } from './bad-session.js';
import type { BadContract, BadDeeds } from './messages.js';
import { serve } from './serve.js';

interface Bad {
  deeds: () => BadDeeds;
  stop: () => Promise<unknown>;
}

/** Also while it starts: what it has made by then must go with it. */
let bad: Promise<Bad> | undefined;

serve<BadContract>(
  {
    start: async ({ kind, url, threads, thread }) => {
      if (bad) throw new Error('there is a bad one already');
      bad = kind === 'bare' ? BarePrinter.start() : BadSession.start(url, kind, { threads, thread });
      await bad;
      return null;
    },
    deeds: async () => {
      if (!bad) throw new Error('there is no bad one');
      return (await bad).deeds();
    },
    stop: async () => {
      await stop();
      return null;
    },
  },
  stop,
);

async function stop(): Promise<void> {
  const stopping = bad;
  bad = undefined;
  await (await stopping)?.stop();
}
