import pino from 'pino';
import t from 'tap';
import { ForeignSchemas } from '../../../../workers/agent/schema/foreign-schemas.js';
import type { InputRequest } from '@modelcontextprotocol/server';
import { elicit } from '../../../../workers/agent/serve/client-asks.js';
import { ServedCall } from '../../../../workers/agent/serve/served-call.js';
import type { Question } from '../../../../workers/agent/mcp/host/question.js';

const { signal } = new AbortController();
const schemas = new ForeignSchemas({ log: pino({ level: 'silent' }) });
t.teardown(() => schemas.close());

function shown(question: Question): Promise<InputRequest['params']> {
  const call = new ServedCall({ waitMs: 1_000, onEnd: () => undefined });
  return new Promise((resolve) => {
    const link = {
      signal,
      capabilities: { elicitation: { form: {}, url: {} } },
      logLevel: undefined,
      onProgress: () => undefined,
      onLog: () => undefined,
      push: async (request: InputRequest) => {
        resolve(request.params);
        return { action: 'decline' };
      },
    };
    call.start(link, undefined, async () => ({ ...(await elicit(call, question, { schemas, user: 'ada', signal })) }));
  });
}

t.test('a client of /mcp is told which questions come from code in a sandbox', async (t) => {
  const question = { server: 'workspace', message: 'Your password, please', origin: 'sandbox' } as const;
  for (const asked of [
    { ...question, mode: 'form' as const },
    { ...question, mode: 'url' as const, url: 'https://example.org' },
  ]) {
    t.match(await shown(asked), {
      message: /^\[This text comes from code in the sandbox, not from Fairlead.*\]\n\nYour password, please$/,
      _meta: { 'fairlead/origin': 'sandbox' },
    });
  }
  const plain = await shown({ server: 'remote', mode: 'form', message: 'Which city?' });
  t.match(plain, { message: 'Which city?' });
  t.notOk('_meta' in (plain ?? {}));
});
