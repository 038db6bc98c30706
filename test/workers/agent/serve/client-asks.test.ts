import pino from 'pino';
import t from 'tap';
import { ForeignSchemas } from '../../../../workers/agent/schema/foreign-schemas.js';
import type { InputRequest } from '@modelcontextprotocol/server';
import { elicit } from '../../../../workers/agent/serve/client-asks.js';
import { ServedCall, UnfitResponse } from '../../../../workers/agent/serve/served-call.js';
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

/** What comes of a question with a form of one number, when the client answers so, each time. */
async function answered(...answers: unknown[]): Promise<{ outcome: unknown; messages: string[] }> {
  const messages: string[] = [];
  const call = new ServedCall({ waitMs: 1_000, onEnd: () => undefined });
  const form = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] };
  const question: Question = { server: 'remote', mode: 'form', message: 'How old?', schema: form };
  const outcome = await new Promise((resolve) => {
    const link = {
      signal,
      capabilities: { elicitation: { form: {} } },
      logLevel: undefined,
      onProgress: () => undefined,
      onLog: () => undefined,
      push: async ({ params }: InputRequest) => {
        messages.push((params as { message: string }).message);
        return answers[Math.min(messages.length, answers.length) - 1];
      },
    };
    call.start(link, undefined, async () => {
      await elicit(call, question, { schemas, user: 'ada', signal }).then(resolve, resolve);
      return {};
    });
  });
  return { outcome, messages };
}

t.test('an answer that does not fit is asked for again with the reason, and never becomes a cancel', async (t) => {
  const good = { action: 'accept', content: { age: 7 } };
  const text = { action: 'accept', content: { age: 'seven' } };
  const { outcome, messages } = await answered(text, good);
  t.same(outcome, good);
  t.equal(messages[0], 'How old?');
  t.match(messages[1], /^\[The last answer does not fit the form: .*age.*integer.*\]\n\nHow old\?$/);
  for (const [unfit, field] of [
    [text, /age/],
    [{ action: 'accept' }, /age/],
    [{ action: 'accept', content: { age: { nested: 1 } } }, /age/],
    [{ action: 'accept', content: null }, /age/],
    [{ action: 'accept', content: [7] }, /content/],
    [{ action: 'yes', content: { age: 7 } }, /action/],
    [{}, /action/],
    [null, /action/],
    [new UnfitResponse('content.age: expected a primitive'), /content\.age/],
  ] as const) {
    const { outcome: refused, messages: asked } = await answered(unfit);
    t.match(refused, { code: -32_602, message: /of remote does not fit its form/ }, JSON.stringify(unfit));
    t.match((refused as Error).message, field);
    t.equal(asked.length, 3);
  }
  t.same((await answered({ action: 'decline', content: { age: 'x' } })).outcome, { action: 'decline' });
});
