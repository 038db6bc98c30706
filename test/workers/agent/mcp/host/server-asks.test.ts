import t from 'tap';
import { answerOne, type Asked } from '../../../../../workers/agent/mcp/host/server-asks.js';
import type { Question } from '../../../../../workers/agent/mcp/host/question.js';

const { signal } = new AbortController();

t.test('a user is shown addresses of web pages, and no others', async (t) => {
  const questions: Question[] = [];
  const asks = {
    elicit: async (question: Question) => {
      questions.push(question);
      return { action: 'accept' as const };
    },
  };
  const ask = (url: string) => {
    const params = { mode: 'url' as const, message: 'open this', elicitationId: '1', url };
    return answerOne(
      { server: 'docs', capabilities: { elicitation: {} } },
      { method: 'elicitation/create', params },
      asks,
      signal,
    );
  };
  for (const url of ['https://example.org/x', 'http://127.0.0.1:8080/']) t.same(await ask(url), { action: 'accept' });
  t.equal(questions.length, 2);
  for (const url of [
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'file:///etc/passwd',
    'data:text/html,x',
    'vscode://x',
    'x',
    '',
  ]) {
    await t.rejects(ask(url), { code: 'ERR_MCP' }, url);
  }
  t.equal(questions.length, 2);
});

t.test('what is not configured for a server is refused, whatever the server was told', async (t) => {
  const asked = { elicit: 0, sample: 0, roots: 0 };
  const asks = {
    elicit: async () => (asked.elicit++, { action: 'accept' as const }),
    sample: async () => (
      asked.sample++,
      { role: 'assistant', content: { type: 'text', text: '' }, model: 'm' } as const
    ),
    roots: async () => (asked.roots++, []),
  };
  const form = {
    mode: 'form' as const,
    message: 'Password?',
    requestedSchema: { type: 'object' as const, properties: {} },
  };
  const requests: Asked[] = [
    { method: 'elicitation/create', params: form },
    { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } },
    { method: 'roots/list' },
  ];
  for (const request of requests) {
    const refused = answerOne({ server: 'box', capabilities: {} }, request, asks, signal);
    await t.rejects(refused, { code: 'ERR_MCP', message: /^not supported: \w+ is not configured for the server box$/ });
  }
  t.same(asked, { elicit: 0, sample: 0, roots: 0 });
  const capabilities = { elicitation: {}, sampling: {}, roots: {} };
  for (const request of requests) await answerOne({ server: 'box', capabilities }, request, asks, signal);
  t.same(asked, { elicit: 1, sample: 1, roots: 1 });
});
