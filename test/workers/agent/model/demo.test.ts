import { getEventListeners } from 'node:events';
import t from 'tap';
import { isFairleadError } from '../../../../src/shared/errors.js';
import { createDemoModel } from '../../../../workers/agent/model/demo.js';
import type { ModelTool } from '../../../../workers/agent/model/model.js';
import { toRequest } from '../../../../workers/agent/model/to-request.js';
import { validateMessages } from '../../../helpers/messages-rules.js';
import { ask, listen, streamed } from './streams.js';
import { assistant, use, user } from './transcripts.js';

const tools: ModelTool[] = ['list_files', 'read_file', 'write_file', 'run_command'].map((name) => ({
  name,
  description: '',
  inputSchema: { type: 'object' },
}));
const model = createDemoModel({ delayMs: 0 });
const say = (text: string) => listen(model, ask({ messages: [user(text)], tools }));
const hear = (text: string, isError = false) => {
  const result = { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text }], is_error: isError };
  return listen(model, ask({ messages: [user('read a.txt'), assistant(use('a')), user(result)], tools }));
};
const textOf = (content: unknown[]): string => (content[0] as { text: string }).text;

t.test('a phrase becomes words and a call, under an id never used before', async (t) => {
  const { events, answer } = await say('List all files in /workspace');
  t.ok(events.length > 2, 'word by word');
  t.match(answer, { stopReason: 'tool_use', model: 'demo' });
  t.match(answer.content, [{ type: 'text' }, { type: 'tool_use', name: 'list_files', input: { path: '/workspace' } }]);
  t.equal(streamed(events, 0), textOf(answer.content));
  const again = await say('List all files in /workspace');
  t.equal(textOf(again.answer.content), textOf(answer.content));
  t.not((again.answer.content[1] as { id: string }).id, (answer.content[1] as { id: string }).id);
});

t.test('two phrases are two calls of one answer', async (t) => {
  const { answer } = await say('write hello to a.txt and write bye to b.txt');
  t.match(answer.content, [{ type: 'text' }, { input: { path: 'a.txt' } }, { input: { path: 'b.txt' } }]);
});

t.test('a result is told in words, shortened where it is long', async (t) => {
  const { events, answer } = await hear('first line\n  second line');
  t.match(textOf(answer.content), /first line\n {2}second line/);
  t.equal(streamed(events, 0), textOf(answer.content), 'spaces and lines as they are');
  t.equal(answer.stopReason, 'end_turn');
  const long = await hear('👋'.repeat(5_000));
  t.ok(textOf(long.answer.content).length < 3_000);
  t.equal(Buffer.from(textOf(long.answer.content)).toString(), textOf(long.answer.content), 'no half character');
  t.match(textOf((await hear('')).answer.content), /no output/);
});

t.test('a denial is accepted with its reason, another error is told as one', async (t) => {
  t.match(textOf((await hear('The user denied this call: not today', true)).answer.content), /leave that.*not today/);
  t.match(textOf((await hear('cat: Permission denied', true)).answer.content), /did not work.*Permission denied/);
});

t.test('anything else is answered with what the demo understands', async (t) => {
  const { answer } = await say('hello');
  t.match(textOf(answer.content), /demo model.*list all files/i);
  const without = await listen(model, ask({ messages: [user('run ls')], tools: [] }));
  t.match(textOf(without.answer.content), /not offered/);
});

t.test('what it answers is a valid part of a transcript, with usage', async (t) => {
  const { answer } = await say('run ls');
  const messages = [user('run ls'), assistant(...answer.content)];
  t.same(validateMessages(toRequest(ask({ messages, tools }), { maxTokens: 100 })), []);
  t.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0);
});

t.test('an abort ends it at once', async (t) => {
  const abort = new AbortController();
  const events = createDemoModel({ delayMs: 3_600_000 }).stream(ask(), abort.signal)[Symbol.asyncIterator]();
  const pending = events.next().catch((error: unknown) => error);
  abort.abort();
  t.ok(isFairleadError(await pending, 'ERR_CANCELLED'));
  t.equal(getEventListeners(abort.signal, 'abort').length, 0);
});
