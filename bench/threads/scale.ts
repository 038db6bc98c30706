/** Turns a second by the number of agent threads, and the main thread's event-loop delay while they are saturated. */
import type { Plot, Ratio, Table } from '../suite/bench.js';
import { watchCpu, type CpuUse } from './cpu.js';
import { loopDelays, mainDelay } from './loop-delays.js';
import type { Saturated, TurnKind } from './messages.js';
import type { Server, World } from './world.js';
import { percentile } from '../shared/figures.js';

export const MAX_LOOP_DELAY_MS = 10;
export const KINDS: readonly TurnKind[] = ['short', 'long'];
const WORDS: Record<TurnKind, string> = { short: 'Short turns', long: 'Long answers' };
const FULL = 0.95;
const SATURATED = 0.8;
export const MAX_ELSEWHERE = 0.1;

export interface ScaleOptions {
  rounds: number;
  ms: number;
  leadInMs: number;
}

export interface ScalePoint {
  threads: number;
  kind: TurnKind;
  saturated: Saturated;
  cpu: CpuUse;
  modelUtilisation: number;
  delays: ReadonlyMap<string, number>;
}

/** The servers take turns with each kind of turn, so that disturbances of the machine hit all of them. */
export async function measureScale(
  world: World,
  { rounds, ms, leadInMs }: ScaleOptions,
  step: (doing: string) => void,
): Promise<ScalePoint[]> {
  const points: ScalePoint[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      for (const server of world.servers) {
        step(`${WORDS[kind]} on ${threadsText(server.threads)}`);
        points.push(await measurePoint(world, server, kind, { ms, leadInMs }));
      }
    }
  }
  return points;
}

async function measurePoint(
  { model, people }: World,
  { threads, engine, redisPid }: Server,
  kind: TurnKind,
  pace: { ms: number; leadInMs: number },
): Promise<ScalePoint> {
  await Promise.all([loopDelays(engine.url), model.ask('look', null)]);
  const used = await watchCpu(engine.pid, { model: model.pid, redis: redisPid, people: people.pid });
  const saturated = await people.ask('saturate', { url: engine.wsUrl, kind, ...pace });
  const cpu = await used();
  const [delays, { utilisation, violations }] = await Promise.all([loopDelays(engine.url), model.ask('look', null)]);
  if (violations.length > 0) throw new Error(`the model was sent what it would refuse: ${violations.join('; ')}`);
  return { threads, kind, saturated, cpu, modelUtilisation: utilisation, delays };
}

export function scaleRatios(points: readonly ScalePoint[]): Ratio[] {
  const counts = threadCounts(points);
  const [fewest = 1] = counts;
  const ratios = counts.slice(1).flatMap((threads) =>
    KINDS.map((kind): Ratio => {
      const value = rateOf(points, threads, kind) / rateOf(points, fewest, kind);
      return {
        id: `scale-${kind}-${threads}`,
        name: `${WORDS[kind]} per second, ${threads} agent threads relative to ${fewest}`,
        value,
        unit: '×',
        better: 'higher',
      };
    }),
  );
  const worst = Math.max(...counts.flatMap((threads) => KINDS.map((kind) => delayOf(points, threads, kind))));
  const alone = select(points, fewest, 'short').map(({ cpu }) => cpu);
  const agentMs = sum(alone.map(({ workersMs }) => sum(workersMs.slice(0, fewest))));
  return [
    ...ratios,
    {
      id: 'main-capacity',
      name: 'Agent threads, all busy with short turns, that one main thread can serve',
      value: agentMs / sum(alone.map(({ mainMs }) => mainMs)),
      unit: 'threads',
      better: 'higher',
    },
    {
      id: 'main-loop-delay',
      name: 'Event-loop delay of the main thread, agent threads saturated, p99',
      value: worst,
      unit: 'ms',
      better: 'lower',
      aim: MAX_LOOP_DELAY_MS,
    },
  ];
}

export function scaleTables(points: readonly ScalePoint[]): Table[] {
  const groups = threadCounts(points).flatMap((threads) =>
    KINDS.map((kind) => ({ threads, kind, of: points.filter((p) => p.threads === threads && p.kind === kind) })),
  );
  return [
    {
      title: 'Each user sends the next message as soon as the last is answered; first token and loop delay in ms',
      head: ['', 'turns/s', 'first p50', 'first p99', 'main loop p99', 'agent loop p99', 'an agent thread', 'machine'],
      rows: groups.map((group) => {
        const first = group.of.flatMap(({ saturated }) => saturated.firstMs);
        return [
          rowName(group),
          rateOf(points, group.threads, group.kind),
          percentile(first, 50),
          percentile(first, 99),
          delayOf(points, group.threads, group.kind),
          middle(group.of.map(({ delays }) => agentDelay(delays))),
          percent(middle(group.of.map(agentShare))),
          percent(middle(group.of.map(({ cpu }) => cpu.machine))),
        ];
      }),
    },
    {
      title: 'Processor time of one turn, ms; and how many turns a second the main thread alone can serve',
      head: ['', 'main', 'agents', 'server, all', 'model', 'redis', 'people', 'room of main'],
      rows: groups.map((group) => {
        const perTurn = (ms: (cpu: CpuUse) => number): number =>
          sum(group.of.map(({ cpu }) => ms(cpu))) / sum(group.of.map(({ saturated }) => saturated.allTurns));
        const main = perTurn(({ mainMs }) => mainMs);
        return [
          rowName(group),
          main,
          perTurn(({ workersMs }) => sum(workersMs.slice(0, group.threads))),
          perTurn(({ serverMs }) => serverMs),
          ...['model', 'redis', 'people'].map((each) => perTurn(({ besideMs }) => besideMs[each] ?? 0)),
          1_000 / main,
        ];
      }),
    },
  ];
}

export function scalePlot(points: readonly ScalePoint[]): Plot {
  return {
    title: 'Turns a second by agent threads',
    x: 'agent threads',
    y: 'turns/s',
    lines: KINDS.map((kind) => ({
      name: WORDS[kind],
      points: threadCounts(points).map((threads): [number, number] => [threads, rateOf(points, threads, kind)]),
    })),
  };
}

export function scaleDoubts(points: readonly ScalePoint[]): string[] {
  const doubts: string[] = [];
  const full = points.filter(({ cpu, threads }) => threads > 1 && cpu.machine >= FULL);
  if (full.length > 0) {
    const busiest = Math.max(...full.map(({ cpu }) => cpu.machine));
    doubts.push(
      `the processors were full (${percent(busiest)}) with more than one agent thread, and model, Redis and people had their ` +
        'part of them: the scale-out is that of this machine, and the loop delay has the wait for a processor in it',
    );
  }
  const idle = middle(points.filter(({ threads }) => threads === 1).map(agentShare));
  if (idle < SATURATED)
    doubts.push(`one agent thread alone was not saturated: it ran for ${percent(idle)} of the time`);
  const elsewhere = middle(points.map(({ cpu }) => cpu.elsewhere));
  if (elsewhere > MAX_ELSEWHERE) {
    doubts.push(`something else took ${percent(elsewhere)} of the processors while agent threads were saturated`);
  }
  const people = Math.max(...points.map(({ saturated }) => saturated.utilisation));
  if (people > FULL)
    doubts.push(`the users' process was the limit: its event loop was busy for ${percent(people)} of the time`);
  const model = Math.max(...points.map(({ modelUtilisation }) => modelUtilisation));
  if (model > FULL)
    doubts.push(`the stand-in model was the limit: its event loop was busy for ${percent(model)} of the time`);
  return doubts;
}

export function threadsText(threads: number): string {
  return threads === 1 ? '1 agent thread' : `${threads} agent threads`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** The median as the mean of the middle two, since there may be only two. */
export function middle(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(half)] ?? Number.NaN) + (sorted[Math.ceil(half)] ?? Number.NaN)) / 2;
}

function rowName({ threads, kind }: { threads: number; kind: TurnKind }): string {
  return `${WORDS[kind]}, ${threadsText(threads)}`;
}

function threadCounts(points: readonly ScalePoint[]): number[] {
  return [...new Set(points.map(({ threads }) => threads))].sort((a, b) => a - b);
}

function select(points: readonly ScalePoint[], threads: number, kind: TurnKind): ScalePoint[] {
  return points.filter((point) => point.threads === threads && point.kind === kind);
}

function rateOf(points: readonly ScalePoint[], threads: number, kind: TurnKind): number {
  const of = select(points, threads, kind).map(({ saturated }) => saturated);
  return sum(of.map(({ turns }) => turns)) / sum(of.map(({ seconds }) => seconds));
}

function delayOf(points: readonly ScalePoint[], threads: number, kind: TurnKind): number {
  return middle(select(points, threads, kind).map(({ delays }) => mainDelay(delays)));
}

function agentDelay(delays: ReadonlyMap<string, number>): number {
  const agents = [...delays].flatMap(([thread, ms]) => (thread.startsWith('agent') ? [ms] : []));
  return Math.max(...agents);
}

/** Mean of the agent threads, of one processor. Node 20 names no threads; the busiest ones are the agent threads. */
function agentShare({ cpu, threads }: ScalePoint): number {
  return sum(cpu.workersMs.slice(0, threads)) / threads / (cpu.seconds * 1_000);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
