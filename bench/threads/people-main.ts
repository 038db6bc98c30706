/** The process of the users whose turns are measured; a crowd for each server. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pace, PeopleContract, Samples, Saturated, TurnKind } from './messages.js';
import { Person } from './person.js';
import { serve, watchUtilisation } from './serve.js';

const RESET_EVERY_TURNS = 10;

const crowds = new Map<string, Person[]>();
const utilisation = watchUtilisation();

serve<PeopleContract>({
  /** Replaces the present crowd. */
  connect: async ({ url, people, threads }) => {
    for (const person of crowds.get(url) ?? []) person.close();
    const places = Array.from({ length: people }, (_, index) => ({ threads, thread: index % threads }));
    crowds.set(url, await Promise.all(places.map((place) => Person.connect(url, place))));
    return null;
  },
  saturate: async ({ url, kind, ms, leadInMs }) => saturate(crowdOf(url), kind, { ms, leadInMs }),
  pace: async ({ url, ...pace }) => {
    utilisation();
    const crowd = crowdOf(url);
    const startedAt = performance.now();
    const each = await Promise.all(crowd.map((person, at) => keepPace(person, at / crowd.length, startedAt, pace)));
    return { samples: joinByThread(each), utilisation: utilisation() };
  },
});

function crowdOf(url: string): Person[] {
  const crowd = crowds.get(url);
  if (!crowd) throw new Error(`nobody is connected to ${url}`);
  return crowd;
}

async function saturate(
  crowd: readonly Person[],
  kind: TurnKind,
  { ms, leadInMs }: { ms: number; leadInMs: number },
): Promise<Saturated> {
  const from = performance.now() + leadInMs;
  const until = from + ms;
  const firstMs: number[] = [];
  const turnMs: number[] = [];
  let allTurns = 0;
  utilisation();
  const talk = async (person: Person): Promise<void> => {
    while (performance.now() < until) {
      const times = await person.say(`${kind} please`);
      if (times === undefined) throw new Error('a turn failed with nothing but short turns beside it');
      const now = performance.now();
      allTurns++;
      if (now >= from && now < until) {
        firstMs.push(times.firstMs);
        turnMs.push(times.turnMs);
      }
      if (person.turns % RESET_EVERY_TURNS === 0) await person.reset();
    }
  };
  await Promise.all(crowd.map(talk));
  return { turns: turnMs.length, seconds: ms / 1_000, allTurns, firstMs, turnMs, utilisation: utilisation() };
}

/** `phase`, 0 to 1, so that not all users send at the same moment. */
async function keepPace(person: Person, phase: number, startedAt: number, pace: Pace): Promise<Samples> {
  const samples: Samples = { thread: person.thread, firstMs: [], turnMs: [], pongMs: [], failed: 0 };
  const endsAt = startedAt + pace.ms;
  const counts = (due: number): boolean => due >= startedAt + pace.leadInMs;
  const dueTimes = (everyMs: number): number[] =>
    Array.from({ length: Math.floor(pace.ms / everyMs) }, (_, index) => startedAt + (index + phase) * everyMs);

  const talk = async (): Promise<void> => {
    for (const due of dueTimes(pace.turnEveryMs)) {
      // A user who still waits for an answer sends late, and is timed from the planned moment. A late timer of this process does not count.
      const late = performance.now() > due;
      if (late && performance.now() > endsAt) {
        // Still unsent when the window ends: counted with its waiting time so far.
        samples.firstMs.push(performance.now() - due);
        samples.turnMs.push(performance.now() - due);
        continue;
      }
      await until(due);
      const times = await person.say('short please', late ? due : performance.now());
      if (times === undefined) samples.failed++;
      else if (counts(due)) {
        samples.firstMs.push(times.firstMs);
        samples.turnMs.push(times.turnMs);
      }
      if (person.turns % RESET_EVERY_TURNS === 0) await person.reset();
    }
  };
  const ping = async (): Promise<void> => {
    const answers: Promise<void>[] = [];
    for (const due of dueTimes(pace.pingEveryMs)) {
      await until(due);
      const counted = counts(due);
      const answered = person.ping().then((ms) => void (counted && samples.pongMs.push(ms)));
      answered.catch(() => undefined); // reported below, when all have ended
      answers.push(answered);
    }
    await Promise.all(answers);
  };
  await Promise.all([talk(), ping()]);
  return samples;
}

async function until(due: number): Promise<void> {
  const ms = due - performance.now();
  if (ms > 0) await delay(ms);
}

function joinByThread(each: readonly Samples[]): Samples[] {
  const joined = new Map<number, Samples>();
  for (const { thread, firstMs, turnMs, pongMs, failed } of each) {
    const one = joined.get(thread) ?? { thread, firstMs: [], turnMs: [], pongMs: [], failed: 0 };
    one.firstMs.push(...firstMs);
    one.turnMs.push(...turnMs);
    one.pongMs.push(...pongMs);
    one.failed += failed;
    joined.set(thread, one);
  }
  return [...joined.values()];
}
