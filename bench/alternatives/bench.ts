/** The bench `alternatives`: what would a user get who picks something else, for the same conversations with the same model? */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { Parts } from '../shared/work.js';
import { ContractChild } from '../threads/child.js';
import { toFindings } from './findings.js';
import { formOf, RESERVE, type Form } from './form.js';
import { measureMost, measureStep, measureTool, warmUp, type Measured, type Stand } from './measure.js';
import type { ModelContract, PeopleContract, WayName } from './messages.js';
import { GAP_MS, MODEL_DELAY_MS, TOKENS } from './script.js';
import { AGENT_SDK, STARTS, WARM, type Way } from './ways.js';

const WAYS: readonly WayName[] = ['fairlead', 'agent-sdk', 'socket.io'];

/** Each server is there alone: its memory is not another's. */
export async function measureAll(
  form: Form,
  { signal, progress }: Pick<BenchContext, 'signal' | 'progress'>,
  ways: readonly WayName[] = WAYS,
): Promise<Measured[]> {
  const parts = new Parts();
  try {
    const folder = await parts.open(mkdtemp(join(tmpdir(), 'fl-alternatives-file-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const file = join(folder, 'notes.txt');
    await writeFile(file, 'a note\n');
    const model = await parts.open(
      Promise.resolve(new ContractChild<ModelContract>('the model', new URL('model-main.js', import.meta.url))),
      (child) => child.stop(),
    );
    const people = await parts.open(
      Promise.resolve(new ContractChild<PeopleContract>('the people', new URL('people-main.js', import.meta.url))),
      (child) => child.stop(),
    );
    const { url: modelUrl } = await model.ask('open', { file });
    const measured: Measured[] = [];
    for (const [index, name] of ways.entries()) {
      const step = (doing: string): void => progress(`${name}: ${doing}`, index / ways.length);
      signal.throwIfAborted();
      step('starting');
      const way = await STARTS[name]({ modelUrl, log: step });
      try {
        measured.push(await measureWay({ people, model, form, signal, step }, way));
      } finally {
        await way.stop();
      }
    }
    const [violation] = await model.ask('violations', null);
    if (violation !== undefined) throw new Error(`the model was sent what it refuses: ${violation}`);
    return measured;
  } finally {
    await parts.close();
  }
}

async function measureWay(stand: Stand, way: Way): Promise<Measured> {
  const { form, step } = stand;
  step('warming up');
  const empty = await warmUp(stand, way);
  const steps = [];
  for (const count of form.steps) {
    step(`${count} people`);
    steps.push(await measureStep(stand, way, count));
  }
  step(`${form.toolPeople} people with a tool`);
  const tool = await measureTool(stand, way);
  const { step: most, ...rest } = await measureMost(stand, way);
  return { name: way.name, empty, steps: [...steps, most], tool, ...rest };
}

async function run(context: BenchContext): Promise<Findings> {
  const form = formOf(context.full, context.people);
  return { settings: settings(form), ...toFindings(await measureAll(form, context)) };
}

function settings(form: Form): Findings['settings'] {
  return {
    'the model’s first token, ms': MODEL_DELAY_MS,
    'tokens an answer': TOKENS,
    'between tokens, ms': GAP_MS,
    'people at once': `${form.steps.join(', ')}, and ${form.most} or as many as fit`,
    'the most people come, at once': form.atOnce,
    'think time, mean ms': form.talk.thinkMs,
    'think time of the most people, mean ms': form.crowd.thinkMs,
    'memory left free, %': 100 * RESERVE,
    'Fairlead: warm containers': WARM,
    'Fairlead: store': 'Redis, nothing on disk; its memory counts',
    'the Claude Agent SDK': Object.entries(AGENT_SDK)
      .map((spec) => spec.join(' '))
      .join(),
    'what counts': 'servers, what they start, containers with their shims; not dockerd',
  };
}

export const bench: Bench = {
  name: 'alternatives',
  question: 'What does a person cost with what one would pick instead, and how soon does the answer come?',
  run,
};
