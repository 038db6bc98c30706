/** The stand-in model's process, as the bench sees it. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages';
import { deferred, stopChild, watchExit, type Exit } from '../../test/helpers/processes.js';
import type { ModelNews } from './messages.js';
import type { Pace } from './script.js';

const MAIN = fileURLToPath(new URL('model-main.js', import.meta.url));

export class Model {
  readonly url: string;
  /** The first request that came: tools and system prompt as Fairlead sends them. */
  readonly firstRequest: Promise<MessageCreateParamsStreaming>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<Exit>;

  private constructor(child: ChildProcess, exited: Promise<Exit>, url: string) {
    this.#child = child;
    this.#exited = exited;
    this.url = url;
    const first = deferred<MessageCreateParamsStreaming>();
    child.on('message', (news: ModelNews) => {
      if (news.type === 'first-request') first.resolve(news.body);
    });
    this.firstRequest = first.promise;
  }

  static async start(pace: Pace): Promise<Model> {
    const child = fork(MAIN, [JSON.stringify(pace)]);
    const exited = watchExit(child);
    const listening = deferred<string>();
    child.on('message', (news: ModelNews) => {
      if (news.type === 'listening') listening.resolve(news.url);
    });
    const gone = exited.then(({ code, signal }): never => {
      throw new Error(`the model ended with ${code ?? signal}`);
    });
    gone.catch(() => undefined); // once it listens, the bench itself ends it
    return new Model(child, exited, await Promise.race([listening.promise, gone]));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  setPace(pace: Pace): void {
    this.#child.send(pace);
  }

  async stop(): Promise<void> {
    await stopChild(this.#child, this.#exited);
  }
}
