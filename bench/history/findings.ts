/** The measured lengths as tables, plots and ratios. Pure. */
import type { Plot, Ratio, Table } from '../suite/bench.js';
import type { ByLength, Measured } from './measure.js';
import { median, percentile } from '../shared/figures.js';

const OURS = 'Fairlead';
const JSON_LIST = 'a list of JSON messages';
const GZIP_BLOCKS = 'a list of gzip blocks';
const WHOLE_JSON = 'whole JSON, rewritten';
const WHOLE_GZIP = 'whole gzip, rewritten';
const FLAT = 1.25;
const KIB = 1_024;

type Figure = (measured: Measured) => number;

const appendMs: Figure = (measured) => median(measured.appendMs);
const loadMs: Figure = (measured) => median(measured.loadMs);
const bytes: Figure = (measured) => measured.bytesPerTurn / KIB;
const cpuMs: Figure = (measured) => measured.cpuMs + measured.redisMs;

export function tablesOf(found: ByLength, sealMs: readonly number[]): Table[] {
  return [
    byLength(found, 'Bytes in Redis, KiB a turn', bytes),
    byLength(found, 'Append of a turn, ms at the median', appendMs),
    byLength(found, 'Append of a turn, ms at p90', (measured) => percentile(measured.appendMs, 90)),
    byLength(found, 'Append of a turn, ms of CPU time in the server', (measured) => measured.cpuMs),
    byLength(found, 'Append of a turn, ms of CPU time in Redis', (measured) => measured.redisMs),
    byLength(found, 'Load of a transcript, ms at the median', loadMs),
    {
      title: 'Fairlead’s seals, in the background',
      head: ['seals', 'how many', 'p50 ms', 'p99 ms'],
      rows: [['all lengths', sealMs.length, median(sealMs), percentile(sealMs, 99)]],
    },
  ];
}

export function plotsOf(found: ByLength): Plot[] {
  return [
    plotOf(found, 'Append of a turn', 'ms at the median', appendMs),
    plotOf(found, 'CPU time of an append, server and Redis', 'ms', cpuMs),
    plotOf(found, 'Load of a transcript', 'ms at the median', loadMs),
    plotOf(found, 'Bytes in Redis', 'KiB a turn', bytes),
  ];
}

export function ratiosOf(found: ByLength): Ratio[] {
  const lengths = [...found.keys()];
  const [shortest, longest] = [Math.min(...lengths), Math.max(...lengths)];
  const at = (turns: number, way: string, figure: Figure): number => {
    const measured = found.get(turns)?.get(way);
    return measured ? figure(measured) : Number.NaN;
  };
  const long = `${longest.toLocaleString('en')} turns`;
  const against = (what: [id: string, name: string], figure: Figure, other: [id: string, name: string]): Ratio => ({
    id: `${what[0]}-${other[0]}`,
    name: `${what[1]} at ${long}, relative to ${other[1]}`,
    value: at(longest, OURS, figure) / at(longest, other[1], figure),
    unit: '×',
    better: 'lower',
  });
  const jsonList = ['JSON-list', JSON_LIST] as [string, string];
  const gzipList = ['gzip-list', GZIP_BLOCKS] as [string, string];
  const wholeJson = ['whole-JSON', WHOLE_JSON] as [string, string];
  const wholeGzip = ['whole-gzip', WHOLE_GZIP] as [string, string];
  return [
    {
      id: 'append-growth',
      name: `Append at ${long}, relative to ${shortest} turns`,
      value: at(longest, OURS, appendMs) / at(shortest, OURS, appendMs),
      unit: '×',
      better: 'lower',
      aim: FLAT,
    },
    {
      id: 'append-growth-whole-json',
      name: `Append at ${long}, relative to ${shortest} turns, with ${WHOLE_JSON}`,
      value: at(longest, WHOLE_JSON, appendMs) / at(shortest, WHOLE_JSON, appendMs),
      unit: '×',
      better: 'lower',
    },
    ...[jsonList, gzipList, wholeGzip].map((other) => against(['bytes', 'Bytes in Redis'], bytes, other)),
    ...[jsonList, wholeJson].map((other) => against(['append', 'Append'], appendMs, other)),
    ...[jsonList, gzipList, wholeJson].map((other) => against(['cpu', 'CPU time of an append'], cpuMs, other)),
    ...[jsonList, wholeGzip].map((other) => against(['load', 'Load'], loadMs, other)),
  ];
}

function byLength(found: ByLength, title: string, figure: Figure): Table {
  return {
    title,
    head: ['', ...[...found.keys()].map((turns) => `${turns.toLocaleString('en')} turns`)],
    rows: waysOf(found).map((way) => [
      way,
      ...[...found.values()].map((ways) => {
        const measured = ways.get(way);
        return measured ? figure(measured) : Number.NaN;
      }),
    ]),
  };
}

function plotOf(found: ByLength, title: string, y: string, figure: Figure): Plot {
  const lines = waysOf(found).map((name) => ({
    name,
    points: [...found].flatMap(([turns, ways]): [number, number][] => {
      const measured = ways.get(name);
      return measured ? [[turns, figure(measured)]] : [];
    }),
  }));
  return { title, x: 'turns', y, scale: 'log', lines };
}

function waysOf(found: ByLength): string[] {
  const [first] = found.values();
  return [...(first?.keys() ?? [])];
}
