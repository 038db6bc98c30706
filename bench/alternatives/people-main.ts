/** All simulated people in a process of their own, which takes commands over IPC. */
import { setTimeout as think } from 'node:timers/promises';
import { inParallel } from '../shared/work.js';
import { serve } from '../threads/serve.js';
import type { PeopleContract, Times } from './messages.js';
import { Person } from './person.js';
import { WIRES, type Wire } from './wire.js';

const LEAVE_AT_ONCE = 10;

let place: { wire: Wire; url: string } | undefined;
let here: Person[] = [];
let held: Promise<Times>[] = [];

serve<PeopleContract>({
  meet: ({ way, url }) => {
    place = { wire: WIRES[way], url };
    return Promise.resolve(null);
  },
  arrive: async ({ people, atOnce, ask }) => {
    const times: Times[] = [];
    const come = Array.from({ length: Math.max(0, people - here.length) }, newPerson);
    here.push(...come);
    await inParallel(come.length, atOnce, async (index) => {
      const person = come[index];
      if (person) times.push(await person.arrive(ask));
    });
    return times;
  },
  talk: async ({ ms, thinkMs }) => {
    const until = performance.now() + ms;
    const times: Times[] = [];
    await Promise.all(here.map((person) => converse(person, until, thinkMs, times)));
    return times;
  },
  hold: async () => {
    const holds = here.map((person) => person.hold());
    held = holds.map(({ ended }) => ended);
    await Promise.all(holds.map(({ first }) => first));
    return null;
  },
  held: async () => ({ failed: (await Promise.all(held)).filter(({ error }) => error !== undefined).length }),
  leave: async () => {
    const going = here;
    here = [];
    await inParallel(going.length, LEAVE_AT_ONCE, async (index) => await going[index]?.leave());
    return null;
  },
});

function newPerson(): Person {
  if (!place) throw new Error('there is no server to meet at');
  return new Person(place.wire, place.url);
}

/** Thinking times are exponential, so that people are not in step. The last turn that begins in the time counts. */
async function converse(person: Person, until: number, thinkMs: number, times: Times[]): Promise<void> {
  for (;;) {
    const wait = -thinkMs * Math.log(1 - Math.random());
    if (performance.now() + wait > until) return;
    await think(wait);
    times.push(await person.say('talk'));
  }
}
