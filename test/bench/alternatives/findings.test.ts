import t from 'tap';
import { toFindings } from '../../../bench/alternatives/findings.js';
import type { Measured } from '../../../bench/alternatives/measure.js';
import type { Times, WayName } from '../../../bench/alternatives/messages.js';

const MIB = 1_048_576;
const times = (firstMs: number): Times[] => Array.from({ length: 100 }, () => ({ firstMs, turnMs: firstMs + 100 }));

function someWay(name: WayName, idle: number, over: Partial<Measured> = {}): Measured {
  return {
    name,
    empty: { processes: 100 * MIB, containers: 0, total: 100 * MIB, count: 1 },
    steps: [{ people: 10, arrivals: times(idle / MIB), turns: times(25) }],
    tool: { people: 10, arrivals: times(200), idle: idle + 20 * MIB },
    memory: { people: 10, idle, inTurn: 2 * idle },
    free: 1_000 * MIB,
    bound: 'asked',
    heldFailed: 0,
    ...over,
  };
}

t.test('Fairlead is divided by each of the others', async (t) => {
  const { ratios, tables } = toFindings([
    someWay('fairlead', MIB),
    someWay('agent-sdk', 100 * MIB),
    someWay('socket.io', 20 * MIB),
  ]);
  const value = (id: string): number | undefined => ratios.find((ratio) => ratio.id === id)?.value;
  t.equal(value('idle'), 1_024, 'KiB');
  t.equal(value('agent-sdk-idle'), 100, 'so many people take what one takes there');
  t.equal(value('socket-io-turn'), 20);
  t.equal(value('agent-sdk-arrival'), 0.01);
  t.equal(value('agent-sdk-first-p99'), 1);
  t.equal(value('agent-sdk-tool'), 21 / 120);
  t.equal(value('agent-sdk-people')?.toFixed(3), (120 / 21).toFixed(3), 'what a person takes, the other way round');
  t.equal(new Set(ratios.map(({ id }) => id)).size, ratios.length, 'an id names one figure');
  t.same(
    tables[0]?.rows.map((row) => row.at(-1)),
    [47, 8, 25],
    'people with a sandbox until memory is full',
  );
});

t.test('a person who costs less than can be measured costs something', async (t) => {
  const { ratios, doubts } = toFindings([someWay('fairlead', -5_000), someWay('agent-sdk', 100 * MIB)]);
  t.equal(ratios[0]?.value, 1, 'KiB');
  t.match(doubts.join('\n'), /Fairlead: a person between turns costs less than can be told from noise/);
});

t.test('failed turns are no figures, and are told with the first reason', async (t) => {
  const broken = someWay('socket.io', 20 * MIB, {
    tool: { people: 1, arrivals: [{ firstMs: 1, turnMs: 1, error: 'no container' }], idle: MIB },
    heldFailed: 2,
    bound: 'memory',
  });
  const { tables, doubts } = toFindings([someWay('fairlead', MIB), broken]);
  t.match(doubts.join('\n'), /1 of 201 turns failed, the first with: no container/);
  t.match(doubts.join('\n'), /2 turns failed while all people were in one/);
  t.match(doubts.join('\n'), /memory allowed 10 people/);
  t.match(tables[1]?.rows.at(-1), ['Socket.IO and a container each', '1, with a tool', Number.NaN]);
});
