/** A user whose model runs whatever command the message names. Runs in the bench. */
import { docker } from '../../test/helpers/docker.js';
import type { Engine } from '../../test/helpers/engine.js';
import { lastText, text, tool, type ModelServer } from '../../test/helpers/model-server.js';
import { connect, type TestClient } from '../../test/helpers/ws-client.js';

const RUN = 'run: ';
const CALL_MS = 120_000;

export function scriptModel(model: ModelServer): void {
  model.script(({ body }) => {
    const said = lastText(body);
    return said.startsWith(RUN) ? tool('run_command', { command: said.slice(RUN.length) }) : text('done');
  });
}

export class Person {
  readonly #engine: Engine;
  readonly #client: TestClient;
  readonly session: string;

  private constructor(engine: Engine, client: TestClient, session: string) {
    this.#engine = engine;
    this.#client = client;
    this.session = session;
  }

  static async open(engine: Engine): Promise<Person> {
    const client = await connect(engine.wsUrl);
    const { session } = await client.ready;
    return new Person(engine, client, session);
  }

  /** Resolves with the ms from the message to the tool's result, and whether the tool did not fail. */
  async run(command: string): Promise<{ ms: number; ok: boolean }> {
    const began = performance.now();
    this.#client.say(`${RUN}${command}`);
    const { ok } = await this.#client.waitFor('tool:result', { timeoutMs: CALL_MS });
    const ms = performance.now() - began;
    await this.#client.waitFor('turn:end', { timeoutMs: CALL_MS });
    return { ms, ok };
  }

  /** The session's container that was leased last, if it runs. */
  async container(): Promise<string | undefined> {
    const leased = this.#engine.logs.filter(({ msg, session }) => msg === 'sandbox leased' && session === this.session);
    const id = leased.at(-1)?.['sandbox'];
    if (typeof id !== 'string') return undefined;
    return docker()
      .getContainer(id)
      .inspect()
      .then(
        ({ State }) => (State.Running ? id : undefined),
        () => undefined, // it is gone
      );
  }

  async delete(): Promise<void> {
    await fetch(`${this.#engine.url}/v1/sessions/${this.session}`, { method: 'DELETE' });
    await this.#client.close();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
