/** The bench `turns`: how many users can talk at once, and what does Fairlead add to the model's own time? */
import { availableParallelism } from 'node:os';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { accept, ACCEPTANCE_PACE } from './acceptance.js';
import { toFindings } from './findings.js';
import type { Gathering } from './messages.js';
import { measure } from './meter.js';
import { runRamp, type RampPlan } from './ramp.js';
import type { Pace } from './script.js';
import { Stand } from './stand.js';
import { orInterrupted } from '../shared/work.js';

/** Fast talkers: a user of the ramp sends as much as about ten real ones. */
const PACE: Pace = {
  thinkMs: 2_000,
  modelDelayMs: 300,
  tokens: 20,
  gapMs: 25,
  approveMs: 300,
  turnsPerSession: 20,
  turnTimeoutMs: 15_000,
};
const LIMITS = { errorShare: 0.005, addedMs: 200 };
const WARM = 10;
/** Few users have a container, and those of the ramp begin with it: starting containers takes the processors from all else. */
const TOOLS = { toolEvery: 12, maxToolPeople: 8, toolUse: 'at once' } as const;
const ACCEPTANCE_TOOLS = { toolEvery: 50, maxToolPeople: 40, toolUse: 'now and then' } as const;
const WARM_UP = { people: 100, warmMs: 0, measureMs: 1_200 };

function planFor(full: boolean): RampPlan {
  const common = { modelDelayMs: PACE.modelDelayMs, limits: LIMITS };
  if (!full) {
    const fairlead = { warmMs: 1_000, measureMs: 3_000 };
    return { ...common, first: 100, max: 3_200, bisections: 1, fairlead, sdk: { warmMs: 500, measureMs: 1_500 } };
  }
  const fairlead = { warmMs: 3_000, measureMs: 30_000 };
  return { ...common, first: 25, max: 12_800, bisections: 3, fairlead, sdk: { warmMs: 2_000, measureMs: 15_000 } };
}

async function run(context: BenchContext): Promise<Findings> {
  const { full, signal, progress } = context;
  const plan = planFor(full);
  // One process keeps up with a server on a few processors, which they share.
  const processes = Math.max(1, Math.floor(availableParallelism() / 4));
  progress('starting Redis, the model, the server and its containers');
  const stand = await Stand.open({ pace: PACE, warm: WARM, processes, signal });
  try {
    const place = await warmUp(stand, context);
    const steps = await runRamp(stand, plan, context);
    const acceptance = await accept(stand, { ...place, ...ACCEPTANCE_TOOLS }, context);
    progress('ending what was started');
    return { settings: settings(plan, processes), ...toFindings(steps, acceptance, plan) };
  } finally {
    await stand.close();
  }
}

/** One turn shows what Fairlead asks the model; then both ways run once, so that neither is measured while it loads. */
async function warmUp(
  stand: Stand,
  { signal, progress }: BenchContext,
): Promise<Pick<Gathering, 'wsUrl' | 'modelUrl' | 'template'>> {
  progress('warming up');
  const { crowd, engine, model } = stand;
  const urls = { wsUrl: engine.wsUrl, modelUrl: model.url };
  const nothing = { model: '', max_tokens: 1, messages: [], stream: true as const };
  await crowd.gather({ ...urls, ...TOOLS, template: nothing, pace: { ...PACE, thinkMs: 0 } });
  await orInterrupted(crowd.attach(1), signal);
  await orInterrupted(crowd.talk({ way: 'fairlead', people: 1, warmMs: 0, measureMs: 500 }), signal);
  const template = await orInterrupted(model.firstRequest, signal);
  const place = { ...urls, template: { ...template, messages: [] } };
  await orInterrupted(crowd.gather({ ...place, ...TOOLS, pace: PACE }), signal);
  await orInterrupted(crowd.attach(WARM_UP.people), signal);
  await measure(stand, { way: 'sdk', ...WARM_UP }, signal);
  await orInterrupted(stand.spareBegun(), signal);
  await measure(stand, { way: 'fairlead', ...WARM_UP }, signal);
  await stand.poolFull(signal);
  return place;
}

function settings(plan: RampPlan, processes: number): Findings['settings'] {
  return {
    'ramp: think time, mean ms': PACE.thinkMs,
    'ramp: model’s first token, ms': PACE.modelDelayMs,
    'ramp: tokens an answer': PACE.tokens,
    'ramp: between tokens, ms': PACE.gapMs,
    'ramp: measured a step, ms': plan.fairlead.measureMs,
    'limit: errors, %': 100 * plan.limits.errorShare,
    'limit: first token beyond the model’s own p95, ms': plan.limits.addedMs,
    'ramp: people with tools': `every ${TOOLS.toolEvery}th, at most ${TOOLS.maxToolPeople}, each with a container from the start`,
    'acceptance: people with tools': `every ${ACCEPTANCE_TOOLS.toolEvery}th, at most ${ACCEPTANCE_TOOLS.maxToolPeople}`,
    'turns with tools': 'of four turns one reads, one writes with a yes, two only talk',
    'acceptance: think time, mean ms': ACCEPTANCE_PACE.thinkMs,
    'acceptance: model’s first token, ms': ACCEPTANCE_PACE.modelDelayMs,
    'acceptance: tokens an answer': ACCEPTANCE_PACE.tokens,
    'acceptance: between tokens, ms': ACCEPTANCE_PACE.gapMs,
    'warm containers': WARM,
    'processes of people': processes,
    store: 'Redis, nothing on disk',
  };
}

export const bench: Bench = {
  name: 'turns',
  question: 'How many users can talk at once, and how much later does the first token come than from the model alone?',
  run,
};
