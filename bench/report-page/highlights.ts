/** What the page opens with: a sentence and a chart for what a visitor asks first. Pure. */
import type { BenchResult, Plot } from '../suite/bench.js';
import { figure } from '../suite/terminal.js';

export interface Highlight {
  bench: string;
  sentence: string;
  plot?: Plot;
}

/** The figure of that ratio with its unit; '' where there is none. */
type Say = (id: string) => string;

interface Wanted {
  bench: string;
  /** The ratios that the sentence needs. */
  ids: readonly string[];
  sentence: (say: Say, result: BenchResult) => string;
  /** Which of the bench's plots; a negative number counts from the end. */
  plot: number;
}

const WANTED: readonly Wanted[] = [
  {
    bench: 'memory',
    ids: ['attached-rss', 'waiting-heap'],
    sentence: (say) =>
      `A connected user who does nothing costs ${say('attached-rss')} of server memory; ` +
      `one whose agent waits for an approval costs ${say('waiting-heap')}.`,
    plot: 0,
  },
  {
    bench: 'pool',
    ids: ['lease-p50', 'lease-p99'],
    sentence: (say) =>
      `A session gets its sandbox from the warm pool in ${say('lease-p50')} (p50) or ${say('lease-p99')} (p99).`,
    plot: -1,
  },
  {
    bench: 'turns',
    ids: ['first-token-p50'],
    sentence: (say, { machine }) => {
      const served =
        say('knee-people') === ''
          ? ''
          : `; ${machine.cpus} processors serve ${say('knee-people')} who talk without a pause, and run the simulated users and the model as well`;
      return `Fairlead adds ${say('first-token-p50')} to the model’s first token${served}.`;
    },
    plot: 0,
  },
  {
    bench: 'alternatives',
    ids: ['agent-sdk-turn', 'socket-io-turn', 'agent-sdk-arrival'],
    sentence: (say) =>
      `One person with the Claude Agent SDK takes the memory of ${say('agent-sdk-turn')} in a turn here, one with a ` +
      `container of their own that of ${say('socket-io-turn')}; ten people who come at once have their first answer in ` +
      `${say('agent-sdk-arrival')} the time that the SDK takes.`,
    plot: 0,
  },
  {
    bench: 'history',
    ids: ['append-growth'],
    sentence: (say) =>
      `A long conversation stays as fast as a short one: storing a turn at its end takes ${say('append-growth')} ` +
      'the time that it takes at 10 turns.',
    plot: 0,
  },
  {
    bench: 'soak',
    ids: ['rss-growth', 'keys-left'],
    sentence: (say) =>
      `While users come, work and go, the server grows by ${say('rss-growth')}, and deleted sessions leave ` +
      `${say('keys-left')} in Redis.`,
    plot: 0,
  },
];

/** Those whose figures are there. */
export function highlightsOf(results: readonly BenchResult[]): Highlight[] {
  return WANTED.flatMap(({ bench, ids, sentence, plot }) => {
    const result = results.find((each) => each.bench === bench);
    const found = ids.map((id) => result?.ratios.find((ratio) => ratio.id === id));
    if (!result || !found.every((ratio) => ratio !== undefined && Number.isFinite(ratio.value))) return [];
    const say: Say = (id) => {
      const ratio = result.ratios.find((each) => each.id === id);
      return ratio ? figure(ratio) : '';
    };
    const chart = result.plots.at(plot);
    return [{ bench, sentence: sentence(say, result), ...(chart ? { plot: chart } : {}) }];
  });
}
