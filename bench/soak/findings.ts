/** Findings of a soak: slopes with their uncertainty, what is left at rest, doubts. Pure. */
import type { Plot, Ratio, Table } from '../suite/bench.js';
import { cell } from '../suite/terminal.js';
import { heapOf, type Sample } from './sampler.js';
import { fitTrend, lengthFor, type Trend } from './trend.js';

const MIB = 1_048_576;
const KIB = 1_024;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** A server may grow by as much an hour; its growth is judged when it is known to within as much. */
const AIM_MIB = 2;
const FEW_SAMPLES = 15;
const YOUNG_HOURS = 0.5;

interface Series {
  id: string;
  name: string;
  unit: string;
  of: (sample: Sample) => number;
}

const RSS: Series = { id: 'rss', name: 'server memory (RSS)', unit: 'MiB/h', of: ({ rssBytes }) => rssBytes / MIB };
const HEAP: Series = {
  id: 'heap',
  name: 'live heap of all threads',
  unit: 'MiB/h',
  of: (sample) => heapOf(sample) / MIB,
};
const REDIS: Series = { id: 'redis', name: 'Redis memory', unit: 'MiB/h', of: ({ redisBytes }) => redisBytes / MIB };
const FILES: Series = { id: 'files', name: 'open files', unit: 'files/h', of: ({ openFiles }) => openFiles };
const SANDBOXES: Series = { id: 'sandboxes', name: 'sandboxes', unit: 'sandboxes/h', of: ({ sandboxes }) => sandboxes };
const ALL = [RSS, HEAP, REDIS, FILES, SANDBOXES];

export interface Soaked {
  /** Under load, after the warm-up. */
  samples: readonly Sample[];
  /** With nobody there: after the warm-up, and after each wave. */
  rests: readonly Sample[];
}

export function trendsOf({ samples }: Soaked): Map<Series, Trend> {
  return new Map(ALL.map((series) => [series, trendOf(samples, series)]));
}

function trendOf(samples: readonly Sample[], { of }: Series): Trend {
  return fitTrend(samples.map((sample) => [sample.at / HOUR_MS, of(sample)]));
}

export function ratiosOf({ rests }: Soaked, trends: ReadonlyMap<Series, Trend>): Ratio[] {
  const { before, after } = endsOf(rests);
  const growth = [RSS, HEAP, REDIS].flatMap((series): Ratio[] => {
    const trend = trends.get(series);
    if (!trend) return [];
    // No aim where the noise alone decides whether it is met.
    const aim = trend.uncertainty <= AIM_MIB ? { aim: AIM_MIB } : {};
    return [
      {
        id: `${series.id}-growth`,
        name: `Growth of ${series.name} under load`,
        value: trend.slope,
        unit: series.unit,
        better: 'lower',
        ...aim,
      },
    ];
  });
  const perSession = fitTrend(rests.map((rest) => [rest.lives, heapOf(rest)]));
  return [
    ...growth,
    {
      id: 'heap-per-session',
      name: 'Live heap that a finished session leaves',
      value: perSession.slope,
      unit: 'bytes',
      better: 'lower',
    },
    {
      id: 'keys-left',
      name: 'Redis keys that deleted sessions leave',
      value: after.redisKeys - before.redisKeys,
      unit: 'keys',
      better: 'lower',
      aim: 0,
    },
  ];
}

export function tablesOf(soaked: Soaked, trends: ReadonlyMap<Series, Trend>): Table[] {
  const { before, after } = endsOf(soaked.rests);
  const threads = [...after.heapBytes].map(([thread, bytes]): (string | number)[] => {
    const earlier = before.heapBytes.get(thread) ?? 0;
    return [`live heap of ${thread}, KiB`, earlier / KIB, bytes / KIB, (bytes - earlier) / KIB];
  });
  const atRest = (name: string, of: (sample: Sample) => number): (string | number)[] => [
    name,
    of(before),
    of(after),
    of(after) - of(before),
  ];
  return [
    {
      title: 'Under load: a straight line through each, an hour',
      head: ['', 'slope', '± 95 %', 'samples', 'worth', 'begins at', 'verdict'],
      rows: [...trends].map(([{ name, unit }, trend]) => [
        `${name}, ${unit}`,
        trend.slope,
        trend.uncertainty,
        trend.points,
        trend.worth,
        trend.intercept + trend.slope * ((soaked.samples[0]?.at ?? 0) / HOUR_MS),
        verdict(trend),
      ]),
    },
    {
      title: `At rest, with ${after.lives - before.lives} sessions in between`,
      head: ['', 'before', 'after', 'more'],
      rows: [
        atRest('sessions that have lived and gone', ({ lives }) => lives),
        atRest('RSS, MiB', ({ rssBytes }) => rssBytes / MIB),
        ...threads,
        atRest('open files', ({ openFiles }) => openFiles),
        atRest('sandboxes, waiting ones included', ({ sandboxes }) => sandboxes),
        atRest('connections', ({ connections }) => connections),
        atRest('sessions in memory', ({ sessionsInMemory }) => sessionsInMemory),
        atRest('keys in Redis', ({ redisKeys }) => redisKeys),
        atRest('memory of Redis, KiB', ({ redisBytes }) => redisBytes / KIB),
      ],
    },
  ];
}

export function plotsOf({ samples, rests }: Soaked, trends: ReadonlyMap<Series, Trend>): Plot[] {
  const curve = (name: string, of: (sample: Sample) => number): Plot['lines'][number] => ({
    name,
    points: samples.map((sample) => [sample.at / MINUTE_MS, of(sample)]),
  });
  const fitted = (series: Series): Plot['lines'] => {
    const trend = trends.get(series);
    if (!trend) return [];
    return [curve('straight line', ({ at }) => trend.intercept + (trend.slope * at) / HOUR_MS)];
  };
  const threads = [...(samples.at(-1)?.heapBytes.keys() ?? [])];
  return [
    { title: 'Memory of the server', x: 'minutes', y: 'MiB', lines: [curve('RSS', RSS.of), ...fitted(RSS)] },
    {
      title: 'Live heap',
      x: 'minutes',
      y: 'MiB',
      lines: [
        ...threads.map((thread) => curve(thread, ({ heapBytes }) => (heapBytes.get(thread) ?? 0) / MIB)),
        curve('all', HEAP.of),
        ...fitted(HEAP),
      ],
    },
    {
      title: 'Live heap at rest',
      x: 'sessions that have come and gone',
      y: 'MiB',
      lines: [
        ...threads.map((thread): Plot['lines'][number] => ({
          name: thread,
          points: rests.map((rest) => [rest.lives, (rest.heapBytes.get(thread) ?? 0) / MIB]),
        })),
        { name: 'all', points: rests.map((rest) => [rest.lives, heapOf(rest) / MIB]) },
      ],
    },
    {
      title: 'Open files and sandboxes',
      x: 'minutes',
      y: 'count',
      lines: [curve('open files', FILES.of), curve('sandboxes', SANDBOXES.of)],
    },
    { title: 'Memory of Redis', x: 'minutes', y: 'MiB', lines: [curve('Redis', REDIS.of), ...fitted(REDIS)] },
    {
      title: 'Sessions that have lived',
      x: 'minutes',
      y: 'sessions',
      lines: [curve('sessions', ({ lives }) => lives)],
    },
  ];
}

export function doubtsOf({ samples }: Soaked, trends: ReadonlyMap<Series, Trend>): string[] {
  const doubts: string[] = [];
  if (samples.length < FEW_SAMPLES) doubts.push(`a line through ${samples.length} samples is uncertain`);
  const hours = ((samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0)) / HOUR_MS;
  const rss = trends.get(RSS);
  if (rss && !(rss.uncertainty <= AIM_MIB)) {
    doubts.push(
      `${duration(hours)} is too short for a growth an hour: that of the RSS is known to ± ${cell(rss.uncertainty)} MiB/h, ` +
        `and ${duration(lengthFor(rss, hours, AIM_MIB))} or more of the same would be needed to know it to ± ${AIM_MIB}; ` +
        'what is left at rest is the better figure',
    );
  }
  if (hours < YOUNG_HOURS) {
    doubts.push(
      'a process this young still compiles: the code that V8 keeps counts as live heap, and grows for minutes',
    );
  }
  return doubts;
}

function endsOf(rests: readonly Sample[]): { before: Sample; after: Sample } {
  const [before] = rests;
  const after = rests.at(-1);
  if (!before || !after) throw new Error('the server was never at rest');
  return { before, after };
}

function duration(hours: number): string {
  if (hours >= 1) return `${hours.toFixed(1)} h`;
  return hours * 60 >= 2 ? `${(hours * 60).toFixed(0)} min` : `${(hours * 3_600).toFixed(0)} s`;
}

function verdict({ slope, uncertainty }: Trend): string {
  if (!Number.isFinite(uncertainty)) return 'not known';
  if (Math.abs(slope) <= uncertainty) return 'no trend';
  return slope > 0 ? 'grows' : 'shrinks';
}
