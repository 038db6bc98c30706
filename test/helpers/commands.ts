/** Users whose messages are commands: the model runs `run: COMMAND` in the user's sandbox. Runs in tests. */
import type { Test } from 'tap';
import type { EngineOptions } from './engine.js';
import type { Reply } from './model-replies.js';
import { lastText, text, tool } from './model-server.js';
import { startStack, type Stack } from './stack.js';
import { connect, type TestClient } from './ws-client.js';

const RUN = 'run: ';
const ANSWER_MS = 60_000;

export interface CommandStack extends Stack {
  /** Connected; closed at the end of the test. */
  talker: (t: Test) => Promise<TestClient>;
  /** Resolves with the result's content as JSON. */
  run: (client: TestClient, command: string) => Promise<string>;
}

/** `config` is that of the engine; `replyTo` answers messages that are no commands, `done` where it is absent. */
export async function startCommandStack(
  config: EngineOptions['config'],
  replyTo: (said: string) => Reply | undefined = () => undefined,
): Promise<CommandStack> {
  const stack = await startStack({
    config: { approvals: { rules: [{ server: 'workspace', tool: '*', action: 'allow' }] }, ...config },
  });
  const { engine, model } = stack;
  model.script(({ body }) => {
    const said = lastText(body);
    if (said.startsWith(RUN)) return tool('run_command', { command: said.slice(RUN.length) });
    return replyTo(said) ?? text('done');
  });
  return {
    ...stack,
    talker: async (t) => {
      const client = await connect(engine.wsUrl);
      t.teardown(() => client.close());
      await client.ready;
      return client;
    },
    run: async (client, command) => {
      client.say(`${RUN}${command}`);
      await client.waitFor('tool:start', { timeoutMs: ANSWER_MS });
      const result = await client.waitFor('tool:result', { timeoutMs: ANSWER_MS });
      await client.turnEnd();
      return JSON.stringify(result.content);
    },
  };
}
