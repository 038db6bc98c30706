/** The process of the bad session; for comparison it also runs the session's tool without Fairlead. */
import { BarePrinter } from './bare-printer.js';
import { BadSession } from './bad-session.js';
import type { BadContract, BadDeeds } from './messages.js';
import { serve } from './serve.js';

interface Bad {
  deeds: () => BadDeeds;
  stop: () => Promise<unknown>;
}

/** Also while it starts: what it has made by then must be removed. */
let bad: Promise<Bad> | undefined;

serve<BadContract>(
  {
    start: async ({ kind, url, threads, thread }) => {
      if (bad) throw new Error('there is a bad session already');
      bad = kind === 'bare' ? BarePrinter.start() : BadSession.start(url, kind, { threads, thread });
      await bad;
      return null;
    },
    deeds: async () => {
      if (!bad) throw new Error('there is no bad session');
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
