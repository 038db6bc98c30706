/** The measurements as ratios, tables, plots and doubts. */
import type { Findings, Plot, Ratio, Table } from '../suite/bench.js';
import type { Rate, Shape } from './deltas-part.js';
import { doubtsOf } from './doubts.js';
import { cpuOf, DELTAS_AIM, FRAMES_AIM, IDLE_AIM_KIB, rateOf, type Measured } from './measured.js';
import type { Pace } from './slow-part.js';
import { NAMES } from './wire.js';
import { median } from '../shared/figures.js';

export function findings(measured: Measured): Findings {
  const ratios = ratiosOf(measured);
  return {
    settings: settingsOf(measured),
    ratios,
    tables: [
      proofTable(measured),
      attachTable(measured),
      framesTable(measured),
      deltasTable(measured),
      slowTable(measured),
    ],
    plots: plotsOf(measured),
    doubts: doubtsOf(measured, ratios),
  };
}

function settingsOf(measured: Measured): Findings['settings'] {
  const { form, pinned } = measured;
  const { idle, frames, deltas, slow } = form;
  return {
    idleSockets: idle.sockets,
    attachesAtOnce: idle.atOnce,
    settleMs: idle.settleMs,
    frameSockets: frames.sockets,
    frameRounds: frames.rounds,
    frameWindowMs: frames.windowMs,
    deltaRounds: deltas.rounds,
    slowReaders: slow.readers,
    slowDeltaCharacters: slow.chunk,
    generatorThreads: 1,
    // Of the fresh process: later clients reuse memory of earlier ones.
    generatorKibAClient: Math.round((measured.idle[0]?.generatorBytes ?? Number.NaN) / 102.4) / 10,
    pinned,
    store: 'Redis',
    maxSocketsPerUser: idle.sockets + 3_000,
    maxBytesPerSecond: 0,
  };
}

function ratiosOf(measured: Measured): Ratio[] {
  const { frames, deltas, idle, slow } = measured;
  const depths = [...new Set(frames.map(({ depth }) => depth))];
  const compared = depths.filter((depth) => depth === 1 || depth === 16);
  const [fairlead, bare] = deltas.map(({ rates }) => median(rates.map(({ rate }) => rate)));
  const own = idle.find(({ kind }) => kind === 'fairlead');
  const bareIdle = idle.find(({ kind }) => kind === 'uws');
  const { sessions, clients } = measured.form.deltas.shape;
  return [
    ...compared.map((depth): Ratio => ({
      id: `frames-${depth}`,
      name: `Frames per second, ${depth} in flight on each socket, relative to bare uWebSockets.js`,
      value: rateOf(frames, 'fairlead', depth) / rateOf(frames, 'uws', depth),
      unit: '×',
      better: 'higher',
      aim: FRAMES_AIM,
    })),
    ...compared.map((depth): Ratio => ({
      id: `frames-cpu-${depth}`,
      name: `Frames per CPU second, ${depth} in flight on each socket, relative to bare uWebSockets.js`,
      value: cpuOf(frames, 'uws', depth) / cpuOf(frames, 'fairlead', depth),
      unit: '×',
      better: 'higher',
    })),
    {
      id: 'deltas',
      name: `Deltas delivered per second, ${sessions} sessions with ${clients} clients each`,
      value: fairlead ?? Number.NaN,
      unit: '/s',
      better: 'higher',
      aim: DELTAS_AIM,
    },
    {
      id: 'deltas-of-bare',
      name: 'Deltas delivered per second, relative to bare uWebSockets.js (publish)',
      value: (fairlead ?? Number.NaN) / (bare ?? Number.NaN),
      unit: '×',
      better: 'higher',
    },
    {
      id: 'idle-rss',
      name: 'Server memory (RSS) of an idle session',
      value: (own?.rssBytes ?? Number.NaN) / 1024,
      unit: 'KiB',
      better: 'lower',
      aim: IDLE_AIM_KIB,
    },
    {
      id: 'attaches',
      name: 'Attaches per second, relative to bare uWebSockets.js',
      value: (own?.attachesPerSecond ?? Number.NaN) / (bareIdle?.attachesPerSecond ?? Number.NaN),
      unit: '×',
      better: 'higher',
    },
    {
      id: 'fast-reader',
      name: 'Deltas per second of a fast reader beside slow ones, relative to alone',
      value: middle(slow.beside, 'rate') / middle(slow.alone, 'rate'),
      unit: '×',
      better: 'higher',
    },
  ];
}

function proofTable({ proof }: Measured): Table {
  return {
    title: 'The generator (one thread) against a bare uWebSockets.js echo',
    head: [
      'frames in flight on a socket',
      'frames/s in and out',
      'generator busy %',
      'its CPU µs a frame',
      'server busy %',
    ],
    rows: proof.map((row) => [
      String(row.depth),
      row.rate,
      percent(row.generatorBusy),
      row.generatorUs,
      percent(row.serverBusy),
    ]),
  };
}

function attachTable({ idle, form }: Measured): Table {
  return {
    title: `${form.idle.sockets} sockets, ${form.idle.atOnce} attaches at a time; RSS (garbage collected) and kernel (half of all slabs and TCP queues: both ends are here) for one`,
    head: ['', 'attaches/s', 'p50 ms', 'p99 ms', 'server RSS KiB', 'kernel KiB'],
    rows: idle.map((cost) => [
      cost.name,
      cost.attachesPerSecond,
      cost.p50,
      cost.p99,
      cost.rssBytes / 1024,
      cost.kernelBytes / 1024,
    ]),
  };
}

function framesTable({ frames }: Measured): Table {
  return {
    title: 'Frames in and out (Fairlead: ping and pong; the others: echo)',
    head: [
      '',
      'in flight',
      'frames/s',
      'relative to bare',
      'CPU µs a frame',
      'server thread busy %',
      'generator busy %',
    ],
    rows: frames.map((row) => [
      row.name,
      row.depth,
      row.rate,
      row.rate / rateOf(frames, 'uws', row.depth),
      row.cpuUs,
      percent(row.serverBusy),
      percent(row.generatorBusy),
    ]),
  };
}

function deltasTable({ deltas, shapes, form }: Measured): Table {
  return {
    title: 'Deltas to all clients; a bare server publishes the same frames to as many sockets',
    head: [
      '',
      'sessions',
      'clients of each',
      'deltas/s',
      'own frames %',
      'pieces of the model/s',
      'server thread busy %',
      'generator busy %',
    ],
    rows: [
      ...deltas.map(({ name, rates }) => deltaRow(name, form.deltas.shape, rates)),
      ...shapes.map(({ shape, rate }) => deltaRow(NAMES.fairlead, shape, [rate])),
    ],
  };
}

function deltaRow(name: string, { sessions, clients }: Shape, rates: readonly Rate[]): Table['rows'][number] {
  const of = (value: (rate: Rate) => number): number => median(rates.map(value));
  return [
    name,
    sessions,
    clients,
    of(({ rate }) => rate),
    of(({ share }) => Math.round(share * 100)),
    of(({ rate, share }) => rate / share / clients),
    percent(of(({ serverBusy }) => serverBusy)),
    percent(of(({ generatorBusy }) => generatorBusy)),
  ];
}

function slowTable({ slow, form }: Measured): Table {
  const { readers, chunk } = form.slow;
  const cut = `${slow.cut} of ${slow.slow} cut, held for each at most ${Math.round(slow.kernelBytes / 1024)} KiB in the kernel, ${Math.round(slow.heldBytes / 1024)} KiB of server RSS`;
  return {
    title: `${readers} fast readers of a session, deltas of ${chunk} characters; slow ones do not read at all (${cut})`,
    head: ['', 'deltas/s of each', 'of those streamed %', 'between reads p50 ms', 'p99 ms'],
    rows: [paceRow('alone', slow.alone), paceRow(`beside ${slow.slow} slow ones`, slow.beside)],
  };
}

function paceRow(name: string, paces: readonly Pace[]): Table['rows'][number] {
  return [
    name,
    middle(paces, 'rate'),
    Math.round(middle(paces, 'share') * 100),
    middle(paces, 'gapP50'),
    middle(paces, 'gapP99'),
  ];
}

function plotsOf({ frames, idle, shapes, deltas, form }: Measured): Plot[] {
  const names = [...new Set(frames.map(({ name }) => name))];
  const fan = [
    ...shapes.map(({ shape, rate }): [number, number] => [shape.clients, rate.rate]),
    [form.deltas.shape.clients, median((deltas[0]?.rates ?? []).map(({ rate }) => rate))] as [number, number],
  ];
  return [
    {
      title: 'Frames in and out',
      x: 'frames in flight on each socket',
      y: 'frames/s',
      scale: 'log',
      lines: names.map((name) => ({
        name,
        points: frames.filter((row) => row.name === name).map(({ depth, rate }) => [depth, rate]),
      })),
    },
    {
      title: 'Memory of idle sockets',
      x: 'sockets',
      y: 'server RSS, MiB more',
      lines: idle.map(({ name, curve }) => ({ name, points: curve })),
    },
    {
      title: 'Deltas to 400 sockets',
      x: 'clients of each session',
      y: 'deltas/s in all',
      scale: 'log',
      lines: [{ name: NAMES.fairlead, points: fan.sort(([a], [b]) => a - b) }],
    },
  ];
}

function middle(paces: readonly Pace[], key: keyof Pace): number {
  return median(paces.map((pace) => pace[key]));
}

function percent(share: number): number {
  return Math.round(share * 100);
}
