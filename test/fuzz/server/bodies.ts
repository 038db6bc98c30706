/** Mutated bodies to every route that takes one: each is answered, and never with a 500. */
import { randomFrom, pick } from '../../chaos/random.js';
import { Corpus } from '../corpus.js';
import type { Target } from '../target.js';
import { samples } from '../values.js';
import { isDone } from './calls.js';
import type { FuzzWorld } from './world.js';

const AT_ONCE = 20;
const ANSWER_MS = 60_000;
const PATHS = [
  '/v1/sessions',
  '/v1/sessions/SESSION/messages',
  '/v1/sessions/SESSION/approvals/x',
  '/v1/sessions/SESSION/elicitations/x',
  '/v1/sessions/SESSION/cancel',
  '/v1/mcp/remote/prompts/x',
  '/v1/mcp/remote/test',
  '/v1/mcp/none/login',
  '/mcp',
  '/mcp',
];

export function bodiesTarget({ engine, tokens }: FuzzWorld, seed: number): Target {
  const draw = randomFrom(seed);
  const corpus = new Corpus([...samples('body', 150, seed), ...samples('request', 150, seed)], draw);
  let session: Promise<string> | undefined;
  const post = async (path: string, body: string): Promise<Response> =>
    fetch(`${engine.url}${path}`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${tokens[1]}`,
        'Content-Type': 'application/json',
        Accept: path === '/mcp' ? 'application/json, text/event-stream' : 'application/json',
      },
      body,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  const open = async (): Promise<string> =>
    ((await (await post('/v1/sessions', '{}')).json()) as { session: string }).session;

  async function one(body: string): Promise<string | undefined> {
    session ??= open();
    const path = (pick(PATHS, draw()) ?? '/mcp').replace('SESSION', await session);
    try {
      const response = await post(path, body);
      const text = await response.text();
      if (response.status === 500) return `${path}: 500 ${text.slice(0, 300)} to ${JSON.stringify(body.slice(0, 500))}`;
      return undefined;
    } catch (error) {
      return isDone(error) ? undefined : `${path}: ${String(error)} to ${JSON.stringify(body.slice(0, 500))}`;
    }
  }

  return {
    name: 'HTTP bodies',
    async batch() {
      const results = await Promise.all(Array.from({ length: AT_ONCE }, () => one(corpus.next())));
      return { cases: AT_ONCE, violations: results.filter((wrong) => wrong !== undefined) };
    },
  };
}
