/** The processes of simulated users, as the bench sees them: it asks them together and merges their answers. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stopChild, watchExit, type Exit } from '../../test/helpers/processes.js';
import type { Gathering, PeopleCall, PeopleReply, PeopleRequest, Talk } from './messages.js';

const MAIN = fileURLToPath(new URL('people-main.js', import.meta.url));

type Waiting = { resolve: (talk: Talk | undefined) => void; reject: (error: Error) => void };

export class Crowd {
  readonly #processes: PeopleProcess[];

  constructor(processes: number) {
    this.#processes = Array.from({ length: processes }, () => new PeopleProcess());
  }

  get pids(): number[] {
    return this.#processes.map(({ pid }) => pid);
  }

  async gather(gathering: Omit<Gathering, 'first' | 'step'>): Promise<void> {
    const step = this.#processes.length;
    await Promise.all(
      this.#processes.map((each, first) => each.request({ type: 'gather', gathering: { ...gathering, first, step } })),
    );
  }

  async attach(people: number): Promise<void> {
    await this.#all({ type: 'attach', people });
  }

  async talk(request: Omit<Extract<PeopleRequest, { type: 'talk' }>, 'type'>): Promise<Talk> {
    const talks = await this.#all({ type: 'talk', ...request });
    return {
      turns: talks.flatMap((talk) => talk?.turns ?? []),
      pings: talks.flatMap((talk) => talk?.pings ?? []),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.stop()));
  }

  #all(request: PeopleRequest): Promise<(Talk | undefined)[]> {
    return Promise.all(this.#processes.map((each) => each.request(request)));
  }
}

class PeopleProcess {
  readonly #child: ChildProcess = fork(MAIN);
  readonly #exited: Promise<Exit> = watchExit(this.#child);
  readonly #waiting = new Map<number, Waiting>();
  #ended: Error | undefined;
  #nextId = 1;

  constructor() {
    this.#child.on('message', (reply: PeopleReply) => this.#take(reply));
    this.#exited.then(
      ({ code, signal }) => this.#end(new Error(`a process of people ended with ${code ?? signal}`)),
      (error: Error) => this.#end(error),
    );
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  request(request: PeopleRequest): Promise<Talk | undefined> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, request } satisfies PeopleCall);
    });
  }

  async stop(): Promise<void> {
    await stopChild(this.#child, this.#exited);
  }

  #take(reply: PeopleReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('failed' in reply) waiting?.reject(new Error(`people: ${reply.failed}`));
    else waiting?.resolve(reply.talk);
  }

  #end(error: Error): void {
    this.#ended = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
