/**
 * Loaded into each test file's process: every answer of a server that a test fetches must fit the description at /v1/openapi.json. A fetch
 * whose answer does not is rejected, so that the test is red.
 */
import type * as Answers from './described-answers.js';

const plain = globalThis.fetch;
/** Loaded by those alone that need it: most test files fetch nothing. */
let answers: Promise<typeof Answers> | undefined;

globalThis.fetch = async (input, init) => {
  const answer = await plain(input, init);
  // Each answer of Fairlead has one, and hardly anything else that tests talk to.
  if (!answer.headers.has('x-request-id')) return answer;
  const request = input instanceof Request ? input : undefined;
  const method = (init?.method ?? request?.method ?? 'GET').toUpperCase();
  if (method === 'HEAD' || method === 'OPTIONS' || answer.redirected) return answer;
  const url = new URL(request?.url ?? input);
  if (url.pathname === '/socket.io/') return answer; // the protocol of its library
  answers ??= import('./described-answers.js');
  const problem = await (await answers).misfit(method, url.pathname, answer);
  if (problem !== undefined) {
    throw new Error(
      `the answer of ${method} ${url.pathname} (${answer.status}) does not fit its description: ${problem}`,
    );
  }
  return answer;
};
