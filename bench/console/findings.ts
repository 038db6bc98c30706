/** Figures of the bench `console`, and its aims: Google's thresholds for a good page, https://web.dev/articles/vitals. Pure. */
import { median, percentile } from '../shared/figures.js';
import type { Findings, Ratio } from '../suite/bench.js';
import { PHONE, type FirstLoad } from './first-load.js';
import type { Recorded } from './page.js';

/** What a page holds after so many turns. */
export interface Held {
  turns: number;
  heapBytes: number;
  elements: number;
  /** How often the page had lost the end. */
  lost: number;
}

export interface Measured {
  visits: FirstLoad[];
  held: Held[];
  /** From the address to the newest words of the long conversation. */
  openMs: number;
  idle: Recorded;
  streaming: Recorded;
  /** From the last delta to its words on the page. */
  lagMs: number;
  outputs: Record<string, Recorded>;
  scrolling: Recorded;
  /** Scrolled. */
  pixels: number;
  elements: number;
  lost: number;
}

const KIB = 1024;
const MIB = 1024 * 1024;
/** Two frames of a screen with 60 of them a second, and a little. */
const SMOOTH_MS = 35;
/** A person takes an answer within this for immediate. */
const SWIFT_MS = 200;

export function findingsOf(measured: Measured, settings: Record<string, string | number>): Findings {
  const { visits, held, openMs, idle, streaming, lagMs, outputs, scrolling, pixels, elements } = measured;
  const lost = held.reduce((sum, each) => sum + each.lost, measured.lost);
  const of = (key: keyof FirstLoad): number => median(visits.map((visit) => visit[key]));
  const last = held.at(-1);
  const thousand = held.find(({ turns }) => turns === 1_000) ?? last;
  const first = held[0];
  const perTurn = first && last ? (last.heapBytes - first.heapBytes) / (last.turns - first.turns) / KIB : Number.NaN;
  const worst = Math.max(...Object.values(outputs).map(slowestKey));
  const ratios: Ratio[] = [
    lower('first-load', 'First visit: bytes that are loaded', of('bytes') / KIB, 'KiB', 250),
    lower('lcp', 'First visit, slow phone: largest paint', of('lcp'), 'ms', 2_500),
    lower('tbt', 'First visit, slow phone: blocked time', of('blocking'), 'ms', 200),
    lower('cls', 'First visit, slow phone: layout shift', of('shift'), '', 0.1),
    lower('open-long', 'A long conversation: until its newest words are there', openMs, 'ms'),
    lower(
      'scroll-p95',
      'A long conversation, scrolled: time between frames, p95',
      percentile(scrolling.gaps, 95),
      'ms',
      SMOOTH_MS,
    ),
    lower('stream-key', 'A fast answer: slowest key until its frame', slowestKey(streaming), 'ms', SWIFT_MS),
    lower('stream-lag', 'A fast answer: its last words, after they were sent', lagMs, 'ms', SWIFT_MS),
    lower('output-key', 'Hostile output: slowest key until its frame', worst, 'ms', SWIFT_MS),
    lower(
      'heap-1000',
      'Memory that the page holds after 1,000 turns',
      (thousand?.heapBytes ?? Number.NaN) / MIB,
      'MiB',
      100,
    ),
    lower('heap-turn', 'Memory that a further turn costs the page', perTurn, 'KiB'),
  ];
  const parts: [string, Recorded][] = [
    ['nothing happens', idle],
    ['a fast answer', streaming],
    ...Object.entries(outputs),
    ['scrolling', scrolling],
  ];
  return {
    settings: { ...settings, ...PHONE },
    ratios,
    tables: [
      {
        title: 'A page with a long conversation, ms',
        head: ['while', 'frames', 'p50 between', 'p95', 'longest', 'longest task', 'blocked', 'slowest key'],
        rows: parts.map(([name, { gaps, tasks, keys }]) => [
          name,
          gaps.length,
          percentile(gaps, 50),
          percentile(gaps, 95),
          Math.max(0, ...gaps),
          Math.max(0, ...tasks),
          tasks.reduce((sum, task) => sum + task - 50, 0),
          slowestKey({ gaps, tasks, keys }),
        ]),
      },
      {
        title: 'Memory of a page',
        head: ['turns', 'heap MiB', 'elements'],
        rows: held.map((each) => [String(each.turns), each.heapBytes / MIB, each.elements]),
      },
      {
        title: 'First visits, slow phone',
        head: ['visit', 'KiB', 'requests', 'first paint ms', 'largest ms', 'blocked ms', 'shift'],
        rows: visits.map((visit, index) => [
          String(index + 1),
          visit.bytes / KIB,
          visit.requests,
          visit.fcp,
          visit.lcp,
          visit.blocking,
          visit.shift,
        ]),
      },
    ],
    plots: [],
    doubts: [
      ...(lost > 0 ? [`the page did not follow to the newest words ${lost} times`] : []),
      ...(pixels < 10_000 ? [`only ${Math.round(pixels)} pixels were scrolled`] : []),
      ...(elements > 5_000 ? [`the page has ${elements} elements: it draws more than it shows`] : []),
      ...(percentile(idle.gaps, 50) > 20
        ? ['the browser paints fewer than 50 frames a second when nothing happens']
        : []),
    ],
  };
}

function lower(id: string, name: string, value: number, unit: string, aim?: number): Ratio {
  return { id, name, value, unit, better: 'lower', ...(aim !== undefined && { aim }) };
}

function slowestKey({ keys }: Recorded): number {
  return keys.length === 0 ? Number.NaN : Math.max(...keys);
}
