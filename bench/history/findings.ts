/** What is told of the lengths that were measured: tables, plots, ratios. */
import { percentile } from '../machine.js';
import { median } from '../report.js';
import type { Plot, Ratio, Table } from '../suite/bench.js';
import type { ByLength, Measured } from './measure.js';

const OURS = 'Fairlead';
const JSON_LIST = 'list of JSON messages';
const GZIP_BLOCKS = 'list of gzip blocks';
const WHOLE_JSON = 'whole JSON, written anew';
const WHOLE_GZIP = 'whole gzip, written anew';
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
    byLength(found, 'Append of a turn, ms of processor time in the server', (measured) => measured.cpuMs),
    byLength(found, 'Append of a turn, ms of processor time in Redis', (measured) => measured.redisMs),
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
    plotOf(found, 'Processor time of an append, server and Redis', 'ms', cpuMs),
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
  const against = (what: string, figure: Figure, other: string): Ratio => ({
    name: `${what} at ${longest.toLocaleString('en')} turns: Fairlead of ${other}`,
    value: at(longest, OURS, figure) / at(longest, other, figure),
    unit: '×',
    better: 'lower',
  });
  return [
    {
      name: `append at ${longest.toLocaleString('en')} turns of one at ${shortest}: Fairlead`,
      value: at(longest, OURS, appendMs) / at(shortest, OURS, appendMs),
      unit: '×',
      better: 'lower',
      aim: FLAT,
    },
    {
      name: `append at ${longest.toLocaleString('en')} turns of one at ${shortest}: ${WHOLE_JSON}`,
      value: at(longest, WHOLE_JSON, appendMs) / at(shortest, WHOLE_JSON, appendMs),
      unit: '×',
      better: 'lower',
    },
    against('bytes', bytes, JSON_LIST),
    against('bytes', bytes, GZIP_BLOCKS),
    against('bytes', bytes, WHOLE_GZIP),
    against('append', appendMs, JSON_LIST),
    against('append', appendMs, WHOLE_JSON),
    against('processor time of an append', cpuMs, JSON_LIST),
    against('processor time of an append', cpuMs, GZIP_BLOCKS),
    against('processor time of an append', cpuMs, WHOLE_JSON),
    against('load', loadMs, JSON_LIST),
    against('load', loadMs, WHOLE_GZIP),
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
