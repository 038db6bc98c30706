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

export function tokenOf(user: string): string {
  return `the-token-of-${user}`;
}

export class Person {
  readonly #engine: Engine;
  readonly #client: TestClient;
  readonly #token: string;
  readonly session: string;

  private constructor(engine: Engine, client: TestClient, session: string, token: string) {
    this.#engine = engine;
    this.#client = client;
    this.#token = token;
    this.session = session;
  }

  static async open(engine: Engine, user: string): Promise<Person> {
    const token = tokenOf(user);
    const client = await connect(engine.wsUrl, { token });
    const { session } = await client.ready;
    return new Person(engine, client, session, token);
  }

  /** A turn costs more with each one before it, so windows that are compared begin without any. */
  forget(): void {
    this.#client.send({ type: 'history:reset' });
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
    await fetch(`${this.#engine.url}/v1/sessions/${this.session}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${this.#token}` },
    });
    await this.#client.close();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
