/** The bad one, in a process of its own: a session that takes what it can get, or, for comparison, its tool without Fairlead. */
import { BarePrinter } from './bare-printer.js';
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
    bad = kind === 'bare' ? await BarePrinter.start() : await BadSession.start(url, kind, { threads, thread });
    return null;
  },
  deeds: () => (bad ? Promise.resolve(bad.deeds()) : Promise.reject(new Error('there is no bad one'))),
  stop: async () => {
    await bad?.stop();
    bad = undefined;
    return null;
  },
});
