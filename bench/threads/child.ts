/** The bench's side of a contract: a child process that answers over IPC and is ended in order. */
import { fork, type ChildProcess } from 'node:child_process';
import { stopChild, watchExit, type Exit } from '../../test/helpers/processes.js';
import type { Answer, Contract, Question } from './messages.js';

interface Asked {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

export class ContractChild<C extends Contract> {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<Exit>;
  readonly #asked = new Map<number, Asked>();
  #nextId = 1;
  #gone = false;

  /** `program` is the URL of its file. */
  constructor(name: string, program: URL) {
    this.#name = name;
    this.#process = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#exited = watchExit(this.#process);
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#process.on('exit', () => {
      this.#gone = true;
      for (const { reject } of this.#asked.values()) reject(this.#goneError());
      this.#asked.clear();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async ask<K extends keyof C & string>(name: K, body: C[K]['body']): Promise<C[K]['result']> {
    if (this.#gone) throw this.#goneError();
    const id = this.#nextId++;
    return await new Promise<unknown>((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#process.send({ id, name, body } satisfies Question);
    });
  }

  async stop(): Promise<void> {
    await stopChild(this.#process, this.#exited);
  }

  #settle(answer: Answer): void {
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (answer.ok) asked?.resolve(answer.result);
    else asked?.reject(new Error(`${this.#name}: ${answer.message}`));
  }

  #goneError(): Error {
    return new Error(`the process of ${this.#name} has ended`);
  }
}
