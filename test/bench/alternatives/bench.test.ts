/** All three servers for real, with a handful of people. */
import t from 'tap';
import { measureAll } from '../../../bench/alternatives/bench.js';
import { toFindings } from '../../../bench/alternatives/findings.js';
import type { Form } from '../../../bench/alternatives/form.js';

t.setTimeout(600_000); // it installs the Claude Agent SDK the first time

const FORM: Form = {
  steps: [1],
  most: 2,
  arrivals: 1,
  atOnce: 2,
  toolPeople: 1,
  talk: { ms: 1_000, thinkMs: 50 },
  crowd: { ms: 1_000, thinkMs: 50 },
};
const MIB = 1_048_576;

t.test(
  'the same conversations run on Fairlead and on what is compared with it, and each person has a cost',
  async (t) => {
    const { signal } = new AbortController();
    const measured = await measureAll(FORM, { signal, progress: (doing) => t.comment(doing) });
    t.same(
      measured.map(({ name }) => name),
      ['fairlead', 'agent-sdk', 'socket.io'],
    );
    for (const { name, steps, tool, heldFailed, memory } of measured) {
      const turns = [...steps.flatMap((step) => [...step.arrivals, ...step.turns]), ...tool.arrivals];
      t.same(
        turns.filter(({ error }) => error !== undefined),
        [],
        `${name}: every turn is answered, with a tool too`,
      );
      t.equal(heldFailed, 0, `${name}: the held turns end`);
      t.equal(memory.people, 2, name);
      t.ok(tool.idle > MIB, `${name}: a person with a sandbox or a process costs memory, ${tool.idle} bytes`);
      for (const { turns } of steps) t.ok(turns.length > 0, `${name}: later turns were timed`);
    }
    const { ratios, doubts } = toFindings(measured);
    const value = (id: string): number => ratios.find((ratio) => ratio.id === id)?.value ?? Number.NaN;
    t.ok(value('agent-sdk-tool') < 1, 'a person with a sandbox costs less than a process of the SDK');
    for (const id of ['agent-sdk-idle', 'agent-sdk-turn', 'socket-io-idle']) t.ok(value(id) > 0, id);
    t.notMatch(doubts.join('\n'), /failed/);
  },
);
