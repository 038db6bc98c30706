import t from 'tap';
import { answerOne } from '../../../../../workers/agent/mcp/host/server-asks.js';
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
    return answerOne({ server: 'docs' }, { method: 'elicitation/create', params }, asks, signal);
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
