/** The steps: a few people, then as many as the machine takes; each for every server in turn. */
import { setTimeout as pause } from 'node:timers/promises';
import { orInterrupted } from '../shared/work.js';
import type { ContractChild } from '../threads/child.js';
import { RESERVE, type Form } from './form.js';
import { availableBytes, totalBytes, type Held } from './memory.js';
import type { Ask, ModelContract, PeopleContract, Times, WayName } from './messages.js';
import type { Way } from './ways.js';

const REST_MS = 500;
const LOOKS = 20;
/** Two looks that differ by less count as equal. */
const SAME = 0.002;

export interface Step {
  people: number;
  arrivals: Times[];
  turns: Times[];
}

/** Growth a person, in bytes. */
export interface Memory {
  people: number;
  idle: number;
  inTurn: number;
}

export interface Measured {
  name: WayName;
  /** With nobody there, after somebody was. */
  empty: Held;
  steps: Step[];
  /** People whose first answer needed a tool, and what each then holds. */
  tool: { people: number; arrivals: Times[]; idle: number };
  memory: Memory;
  /** The machine's memory that people may take, in bytes. */
  free: number;
  /** Why there were not more people. */
  bound: 'asked' | 'memory';
  /** Turns that failed while all were in one. */
  heldFailed: number;
}

export interface Stand {
  people: ContractChild<PeopleContract>;
  model: ContractChild<ModelContract>;
  form: Form;
  signal: AbortSignal;
  step: (doing: string) => void;
}

/** A person who comes and goes, so that nobody's figures have the server's first turn in them. */
export async function warmUp(stand: Stand, way: Way): Promise<Held> {
  const { people, signal } = stand;
  await people.ask('meet', { way: way.name, url: way.url });
  for (const ask of ['talk', 'look'] as const) {
    const came = await orInterrupted(people.ask('arrive', { people: 1, atOnce: 1, ask }), signal);
    const failed = came.find(({ error }) => error !== undefined);
    if (failed) throw new Error(`${way.name} does not answer: ${failed.error}`);
    await leave(stand, way);
  }
  return await settled(way, signal);
}

/** They come at once and talk, several times. */
export async function measureStep(stand: Stand, way: Way, count: number): Promise<Step> {
  const { people, form, signal } = stand;
  const step: Step = { people: count, arrivals: [], turns: [] };
  await people.ask('meet', { way: way.name, url: way.url });
  for (let time = 0; time < form.arrivals; time++) {
    step.arrivals.push(...(await arrive(stand, count, 'talk', count)));
    if (time === form.arrivals - 1) step.turns.push(...(await orInterrupted(people.ask('talk', form.talk), signal)));
    await leave(stand, way);
  }
  return step;
}

export async function measureTool(stand: Stand, way: Way): Promise<Measured['tool']> {
  const { people, form, signal } = stand;
  await people.ask('meet', { way: way.name, url: way.url });
  const before = await settled(way, signal);
  const arrivals = await arrive(stand, form.toolPeople, 'look', form.toolPeople);
  await orInterrupted(way.ready(signal), signal);
  const after = await settled(way, signal);
  await leave(stand, way);
  return { people: form.toolPeople, arrivals, idle: (after.total - before.total) / form.toolPeople };
}

/** As many as were asked for, or as memory allows. */
export async function measureMost(
  stand: Stand,
  way: Way,
): Promise<Pick<Measured, 'memory' | 'free' | 'bound' | 'heldFailed'> & { step: Step }> {
  const { people, model, form, signal } = stand;
  await people.ask('meet', { way: way.name, url: way.url });
  const before = await settled(way, signal);
  const free = (await availableBytes()) - RESERVE * (await totalBytes());
  const arrivals = await arrive(stand, Math.min(form.atOnce, form.most), 'talk', form.atOnce);
  const each = ((await settled(way, signal)).total - before.total) / arrivals.length;
  const fits = each > 0 ? Math.floor(free / each) : Number.POSITIVE_INFINITY;
  const count = Math.max(arrivals.length, Math.min(form.most, fits));
  stand.step(`${count} people come`);
  arrivals.push(...(await arrive(stand, count, 'talk', form.atOnce)));
  const idle = await settled(way, signal);
  stand.step(`${count} people talk`);
  const turns = await orInterrupted(people.ask('talk', form.crowd), signal);
  stand.step(`${count} people in a turn`);
  await orInterrupted(people.ask('hold', null), signal);
  const inTurn = await settled(way, signal);
  await model.ask('release', null);
  const { failed } = await orInterrupted(people.ask('held', null), signal);
  await leave(stand, way);
  return {
    step: { people: count, arrivals, turns },
    memory: { people: count, idle: (idle.total - before.total) / count, inTurn: (inTurn.total - before.total) / count },
    free,
    bound: count < form.most ? 'memory' : 'asked',
    heldFailed: failed,
  };
}

async function arrive({ people, signal }: Stand, count: number, ask: Ask, atOnce: number): Promise<Times[]> {
  return await orInterrupted(people.ask('arrive', { people: count, atOnce, ask }), signal);
}

async function leave({ people, signal }: Stand, way: Way): Promise<void> {
  await orInterrupted(people.ask('leave', null), signal);
  await orInterrupted(way.empty(signal), signal);
}

/** Waits until the memory no longer changes: processes end, and give memory back, some time after their people have gone. */
async function settled(way: Way, signal: AbortSignal): Promise<Held> {
  let last = await way.held();
  for (let look = 0; look < LOOKS; look++) {
    await pause(REST_MS, undefined, { signal });
    const now = await way.held();
    if (Math.abs(now.total - last.total) < last.total * SAME) return now;
    last = now;
  }
  return last;
}
