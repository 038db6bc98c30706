/** Many simulated users in one process, each in their own conversation, at Fairlead or with the SDK alone. */
import { setTimeout as think } from 'node:timers/promises';
import type Anthropic from '@anthropic-ai/sdk';
import type { Gathering, PeopleRequest, Talk, TurnSample } from './messages.js';
import { Person } from './person.js';
import { Script } from './script.js';
import { createSdk, SdkPerson } from './sdk-person.js';
import { inParallel } from '../shared/work.js';

const ATTACH_AT_ONCE = 50;
/** Share of the turns that begin with a ping: few, so that pings are no load of their own. */
const PING_EVERY = 4;

type TalkRequest = Extract<PeopleRequest, { type: 'talk' }>;

interface Member {
  /** Number over all processes. */
  number: number;
  person: Person;
  sdkPerson: SdkPerson;
  /** One for each way: both say the same things. */
  scripts: Record<TalkRequest['way'], Script>;
}

export class People {
  readonly #gathering: Gathering;
  readonly #sdk: Anthropic;
  readonly #members: Member[] = [];

  constructor(gathering: Gathering) {
    this.#gathering = gathering;
    this.#sdk = createSdk(gathering.modelUrl);
  }

  leave(): void {
    for (const { person } of this.#members) person.leave();
  }

  /** Rejects with the first failure. */
  async attach(people: number): Promise<void> {
    const { first, step } = this.#gathering;
    const known = this.#members.length;
    for (let number = first + known * step; number < people; number += step) this.#members.push(this.#member(number));
    const here = this.#members.slice(known);
    await inParallel(here.length, ATTACH_AT_ONCE, async (index) => await here[index]?.person.attach());
  }

  /** Resolves when the last turn that began in its time has ended. */
  async talk(request: TalkRequest): Promise<Talk> {
    const from = performance.now() + request.warmMs;
    const until = from + request.measureMs;
    const talk: Talk = { turns: [], pings: [] };
    const talking = this.#members.filter(({ number }) => number < request.people);
    await Promise.all(talking.map((member) => converse(member, request.way, { from, until }, talk)));
    return talk;
  }

  #member(number: number): Member {
    const { wsUrl, pace, toolEvery, maxToolPeople, toolUse } = this.#gathering;
    const tools = number % toolEvery === 0 && number / toolEvery < maxToolPeople ? toolUse : 'never';
    return {
      number,
      person: new Person(wsUrl, pace),
      sdkPerson: new SdkPerson(this.#sdk, this.#gathering),
      scripts: {
        fairlead: new Script(number, pace, tools),
        sdk: new Script(number, pace, tools),
      },
    };
  }
}

async function converse(
  { person, sdkPerson, scripts }: Member,
  way: TalkRequest['way'],
  { from, until }: { from: number; until: number },
  talk: Talk,
): Promise<void> {
  const script = scripts[way];
  for (let turn = 1; ; turn++) {
    const thinkMs = script.thinkMs();
    if (performance.now() + thinkMs > until) return;
    await think(thinkMs);
    if (way === 'fairlead' && turn % PING_EVERY === 1) {
      const ms = await person.ping();
      if (ms !== undefined && performance.now() >= from) talk.pings.push(ms);
    }
    const isMeasured = performance.now() >= from;
    const ask = script.next();
    const sample: TurnSample = await (way === 'fairlead' ? person.turn(ask) : sdkPerson.turn(ask));
    if (isMeasured) talk.turns.push(sample);
  }
}
