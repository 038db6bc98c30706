/** The bench `soak`: do the server's memory, files, sandboxes and Redis grow while users come and go, over minutes or hours? */
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { Crowd } from './crowd.js';
import { doubtsOf, plotsOf, ratiosOf, tablesOf, trendsOf, type Soaked } from './findings.js';
import { fullForm, SHORT, type Form } from './form.js';
import { Sampler, type Sample } from './sampler.js';
import { startWorld, type World } from './world.js';
import { orInterrupted } from '../shared/work.js';

const SEED = 20_261_128;
/** Share of this process's time; above it the simulated users wait for themselves. */
const BUSY = 0.9;

export const bench: Bench = {
  name: 'soak',
  question: 'Does the server grow while users come, work and go?',
  run,
};

async function run(context: BenchContext): Promise<Findings> {
  const form = context.full ? fullForm(context.hours) : SHORT;
  context.progress('starting the server', 0);
  const world = await startWorld(form);
  const { url } = world.engine;
  const crowd = new Crowd({ ...form, url, seed: SEED, signal: context.signal });
  try {
    const sampler = new Sampler(world, () => crowd.lives);
    const soaked = await orInterrupted(soak({ form, crowd, sampler, context }), context.signal);
    return findingsOf(form, crowd, soaked, sampler.busyShare());
  } finally {
    await end(crowd, world);
  }
}

async function end(crowd: Crowd, world: World): Promise<void> {
  try {
    await crowd.abandon();
  } finally {
    await world.stop();
  }
}

interface Parts {
  form: Form;
  crowd: Crowd;
  sampler: Sampler;
  context: BenchContext;
}

/** Users come in waves, and between two waves nobody is there: what is left then does not depend on who was there. */
async function soak({ form, crowd, sampler, context }: Parts): Promise<Soaked> {
  const { signal, progress } = context;
  const { warmUpMs, waves, waveMs, sampleEveryMs } = form;
  const whole = warmUpMs + waves * waveMs;
  const wave = async (doing: string, ms: number, from: number): Promise<Sample[]> => {
    crowd.open();
    const seen = await sampler.sampleFor(ms, sampleEveryMs, signal, (share) =>
      progress(doing, (from + share * ms) / whole),
    );
    await crowd.close();
    return seen;
  };
  await wave('warming up', warmUpMs, 0);
  const rests = [await sampler.atRest(signal)];
  const samples: Sample[] = [];
  for (let done = 0; done < waves; done++) {
    samples.push(...(await wave('users come and go', waveMs, warmUpMs + done * waveMs)));
    rests.push(await sampler.atRest(signal));
  }
  return { samples, rests };
}

function findingsOf(form: Form, crowd: Crowd, soaked: Soaked, busy: number): Findings {
  const trends = trendsOf(soaked);
  const { sandbox, ...settings } = form;
  const { lives, turns, failures } = crowd;
  const doubts = doubtsOf(soaked, trends);
  if (failures.length > 0) doubts.push(`${failures.length} of the sessions failed, the first: ${failures[0]}`);
  if (busy > BUSY) doubts.push(`the process of the users was busy for ${Math.round(busy * 100)} % of the time`);
  return {
    settings: {
      ...settings,
      sandbox: JSON.stringify(sandbox),
      seed: SEED,
      collections: 'before each sample, in all threads, by a preload of the bench',
    },
    ratios: ratiosOf(soaked, trends),
    tables: [
      ...tablesOf(soaked, trends),
      {
        title: 'What was done',
        head: ['', 'in all, warm-up included'],
        rows: [
          ['sessions, from the first socket to the deletion', lives],
          ['turns of text', turns.text],
          ['turns with a tool call', turns.tool],
          ['sessions that failed', failures.length],
          ['the people’s process was busy, % of the time', 100 * busy],
        ],
      },
    ],
    plots: plotsOf(soaked, trends),
    doubts,
  };
}
