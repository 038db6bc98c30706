/** The bench `http`: requests a second and their latency, compared with bare servers that answer the same. */
import { availableParallelism } from 'node:os';
import type { Bench } from '../suite/bench.js';
import { doubtsOf } from './doubts.js';
import { plotsOf, ratiosOf, tablesOf } from './findings.js';
import { groupsOf } from './groups.js';
import { measure } from './measure.js';
import { FULL, SHORT } from './plan.js';
import { TURN_TEXT } from './turn-text.js';
import { configFor, withWorld } from './world.js';
import { orInterrupted } from '../shared/work.js';

export const bench: Bench = {
  name: 'http',
  question: 'How many HTTP requests a second are answered, and how fast, beside bare servers?',
  async run({ full, signal, progress }) {
    const plan = full ? FULL : SHORT;
    const most = Math.max(...plan.connections);
    progress('starting Redis, Fairlead, the bare servers and the client');
    const measured = await withWorld(most, (world) => {
      const work = measure(world, groupsOf(world, plan), plan, { signal, progress });
      return orInterrupted(work, signal);
    });
    return {
      settings: {
        connections: plan.connections.join(', '),
        rounds: plan.rounds,
        secondsARound: plan.seconds,
        turnsOfAConnectionARound: plan.connections.map(plan.turnsEach).join(', '),
        message: TURN_TEXT,
        config: JSON.stringify(configFor(most)),
      },
      ratios: ratiosOf(measured.rows),
      tables: tablesOf(measured),
      plots: plotsOf(measured.rows),
      doubts: doubtsOf(measured.rows, availableParallelism()),
    };
  },
};
