/** The figures of the memory bench as ratios, tables, plots and doubts. Pure. */
import type { Findings, Ratio, Table } from '../suite/bench.js';
import type { DepthCost } from './depth.js';
import type { Growth } from './growth.js';
import type { SandboxCosts } from './sandboxes.js';
import type { States } from './states.js';

const KIB = 1_024;
const MIB = KIB * KIB;
const AIM_ATTACHED_KIB = 4;
const RATIO_DEPTH = 100;

export interface MemoryFigures {
  attached: number;
  attachedLmdb: number;
  busy: number;
  containers: number;
  withRedis: States;
  withLmdb: States;
  deep: readonly DepthCost[];
  sandboxes: SandboxCosts;
}

export function findingsOf(figures: MemoryFigures): Findings {
  const { attached, attachedLmdb, busy, containers, withRedis, withLmdb, deep } = figures;
  return {
    settings: {
      attached,
      attachedLmdb,
      busy,
      containers,
      agentThreads: 1,
      threadsCounted: withRedis.threads,
      depths: deep.map(({ depth: { turns, sessions } }) => `${turns} × ${sessions}`).join(', '),
    },
    ratios: ratiosOf(figures),
    tables: [
      statesTable(
        `Redis: KiB a session (${attached} attached, the first fourth not counted; ${busy} in a turn, ${busy} waiting)`,
        withRedis,
      ),
      statesTable(`Embedded store: KiB a session (${attachedLmdb} attached, ${busy}, ${busy})`, withLmdb),
      containersTable(figures),
      depthTable(deep),
    ],
    plots: [
      {
        title: 'Attached and idle: server RSS',
        x: 'sessions',
        y: 'MiB more',
        lines: [
          { name: 'Fairlead, Redis', points: withRedis.curve.ours },
          { name: 'bare uWebSockets.js', points: withRedis.curve.bare },
        ],
      },
      {
        title: 'History in Redis, a session',
        x: 'turns',
        y: 'KiB',
        scale: 'log',
        lines: [
          { name: 'history', points: deep.map(({ depth, history }) => [depth.turns, history / KIB]) },
          { name: 'raw JSON list', points: deep.map(({ depth, raw }) => [depth.turns, raw / KIB]) },
          { name: 'event log', points: deep.map(({ depth, events }) => [depth.turns, events / KIB]) },
        ],
      },
    ],
    doubts: doubtsOf(figures),
  };
}

function ratiosOf({ withRedis, withLmdb, deep }: MemoryFigures): Ratio[] {
  const { attached, inTurn, waiting, atRest, bare } = withRedis;
  const hundred = deep.find(({ depth }) => depth.turns === RATIO_DEPTH);
  return [
    { ...kib('attached-rss', 'Attached, idle session: server memory (RSS)', attached.rss), aim: AIM_ATTACHED_KIB },
    of(
      'attached-of-bare',
      'Attached, idle session: server memory, relative to a bare uWebSockets.js socket',
      attached.rss,
      bare.rss,
    ),
    kib('turn-heap', 'Session in a turn: heap and buffers', inTurn.heap + inTurn.external),
    kib('waiting-heap', 'Session that waits for approval: heap and buffers', waiting.heap + waiting.external),
    kib('hibernated-heap', 'Hibernated session: heap and buffers', atRest.heap + atRest.external),
    kib('attached-embedded-rss', 'Attached, idle session, embedded store: server memory (RSS)', withLmdb.attached.rss),
    ...(hundred
      ? [
          of(
            'history-bytes',
            `History of ${RATIO_DEPTH} turns in Redis, relative to raw JSON`,
            hundred.history,
            hundred.raw,
          ),
          of(
            'deep-turn-heap',
            `Session in a turn on ${RATIO_DEPTH} turns: heap and buffers, relative to its history’s JSON`,
            hundred.inTurn.heap + hundred.inTurn.external,
            hundred.json,
          ),
        ]
      : []),
  ];
}

function kib(id: string, name: string, bytes: number): Ratio {
  return { id, name, value: bytes / KIB, unit: 'KiB', better: 'lower' };
}

function of(id: string, name: string, ours: number, theirs: number): Ratio {
  return { id, name, value: ours / theirs, unit: '×', better: 'lower' };
}

function statesTable(title: string, { attached, inTurn, waiting, atRest, bare, leased }: States): Table {
  return {
    title: `${title}; ${leased} sandboxes leased`,
    head: ['', 'server RSS', 'of it files', 'heap', 'of it main', 'buffers', 'store', 'kernel'],
    rows: [
      stateRow('bare socket', bare),
      stateRow('attached, idle', attached),
      stateRow('in a turn, attached', inTurn),
      stateRow('waiting for approval, attached', waiting),
      stateRow('hibernated: nobody attached, after a turn', atRest),
    ],
  };
}

function stateRow(name: string, growth: Growth): (string | number)[] {
  const { rss, mapped, heap, mainHeap, external, store, kernel } = growth;
  return [name, ...[rss, mapped, heap, mainHeap, external, store, kernel].map((bytes) => bytes / KIB)];
}

function containersTable({ containers, sandboxes }: MemoryFigures): Table {
  const { warm, leased, hibernatedDisk } = sandboxes;
  return {
    title: `Containers: MiB each, ${containers} of them; proportional set size`,
    head: ['', 'processes', 'of it anonymous', 'its shim', 'kernel', 'disk'],
    rows: [
      containerRow('waits in the warm pool', warm, 0),
      containerRow('leased, one tool called', leased, 0),
      containerRow('hibernated', { pss: 0, anonymous: 0, shims: 0, kernel: 0 }, hibernatedDisk),
    ],
  };
}

function containerRow(name: string, memory: SandboxCosts['leased'], disk: number): (string | number)[] {
  const { pss, anonymous, shims, kernel } = memory;
  return [name, ...[pss, anonymous, shims, kernel, disk].map((bytes) => bytes / MIB)];
}

function depthTable(deep: readonly DepthCost[]): Table {
  return {
    title: 'A deep history: KiB a session; the last three are what a turn adds in the server',
    head: ['turns', 'JSON', 'raw JSON list', 'history', 'of raw', 'event log', 'row, ids', 'RSS', 'heap', 'buffers'],
    rows: deep.map(({ depth, json, raw, history, events, row, inTurn }) => [
      String(depth.turns),
      json / KIB,
      raw / KIB,
      history / KIB,
      history / raw,
      events / KIB,
      row / KIB,
      inTurn.rss / KIB,
      inTurn.heap / KIB,
      inTurn.external / KIB,
    ]),
  };
}

function doubtsOf({ attached, withRedis, withLmdb }: MemoryFigures): string[] {
  const doubts: string[] = [];
  if (Number.isNaN(withRedis.attached.kernel)) doubts.push('without root the kernel’s memory for sockets is unknown');
  for (const [name, states] of [
    ['Redis', withRedis],
    ['embedded store', withLmdb],
  ] as const) {
    if (states.connectionsLeft > 0) {
      doubts.push(`${name}: ${states.connectionsLeft} connections or files stay open in the server when all have left`);
    }
    for (const [state, { rss, heap, external }] of [
      ['attached', states.attached],
      ['in a turn', states.inTurn],
      ['waiting', states.waiting],
    ] as const) {
      if (rss >= heap + external) continue;
      doubts.push(
        `${name}, ${state}: RSS grew by ${kibText(rss)} a session, heap and buffers by ${kibText(heap + external)}: ` +
          'they used pages that the process already had, so heap and buffers are the better figure',
      );
    }
  }
  const { rss, heap } = withRedis.attached;
  if (rss > AIM_ATTACHED_KIB * KIB) {
    doubts.push(
      `attached and idle misses its aim: of ${kibText(rss)} RSS a session (${attached} of them), ${kibText(heap)} are JavaScript ` +
        'objects, and the rest is native memory and what the heap keeps free',
    );
  }
  return doubts;
}

function kibText(bytes: number): string {
  return `${(bytes / KIB).toFixed(2)} KiB`;
}
