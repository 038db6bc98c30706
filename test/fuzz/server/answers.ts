/** Mutated answers of MCP servers, in a sandbox and remote: the call ends, and the next good one succeeds. */
import { pick, randomFrom } from '../../chaos/random.js';
import { Corpus } from '../corpus.js';
import type { Target } from '../target.js';
import { samples } from '../values.js';
import { McpUser } from './calls.js';
import type { Shape } from './remote-server.js';
import type { FuzzWorld } from './world.js';

const SANDBOX_LINES = 40;
const REMOTE_LINES = 4;
const REMOTE_CALLS = 10;
/** A connection that ended by a bad line is opened again, at most so often. */
const GOOD_TRIES = 5;

export function sandboxTarget(world: FuzzWorld, seed: number): Target {
  const user = new McpUser(world, 2);
  const corpus = messages(seed);
  return {
    name: 'MCP lines (sandbox)',
    async batch() {
      const lines = Array.from({ length: SANDBOX_LINES }, () => corpus.next());
      const violations = await attempt(user, 'loud__raw', { data: base64(lines.join('\n')) });
      return { cases: SANDBOX_LINES, violations };
    },
  };
}

export function remoteTarget(world: FuzzWorld, seed: number): Target {
  const user = new McpUser(world, 3);
  const corpus = messages(seed);
  const draw = randomFrom(seed);
  const head =
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{"jsonrpc":"2.0","id":"THE-ID","result":{"content":[]}}';
  const heads = new Corpus([head, head.replace('Content-Length: 60', 'Transfer-Encoding: chunked')], draw);
  return {
    name: 'MCP answers (remote)',
    async batch() {
      const violations: string[] = [];
      for (let call = 0; call < REMOTE_CALLS; call++) {
        const shape = pick<Shape>(['json', 'events', 'socket'], draw()) ?? 'json';
        const from = shape === 'socket' ? heads : corpus;
        const count = shape === 'events' ? REMOTE_LINES : 1;
        const text = Array.from({ length: count }, () => from.next()).join('\n');
        violations.push(...(await attempt(user, 'remote__raw', { data: base64(text), shape })));
      }
      return { cases: REMOTE_CALLS, violations };
    },
  };
}

function messages(seed: number): Corpus {
  const own = ['{"jsonrpc":"2.0","id":"THE-ID","result":{"content":[]}}', '{"jsonrpc":"2.0","id":"THE-ID","error":{}}'];
  return new Corpus([...samples('message', 300, seed), ...own], randomFrom(seed));
}

async function attempt(user: McpUser, tool: string, args: { data: string; shape?: Shape }): Promise<string[]> {
  const told = Buffer.from(args.data, 'base64').toString().slice(0, 2_000);
  try {
    await user.call(tool, args);
    const good = Buffer.from('{"jsonrpc":"2.0","id":"THE-ID","result":{"content":[{"type":"text","text":"done"}]}}');
    let answer = '';
    for (let tries = 0; tries < GOOD_TRIES; tries++) {
      answer = await user.call(tool, { data: good.toString('base64'), shape: 'json' });
      if (answer.includes('"done"')) return [];
    }
    return [`a good call does not succeed: ${answer.slice(0, 300)} after ${JSON.stringify(told)}`];
  } catch (error) {
    return [`the call did not end: ${String(error)} after ${JSON.stringify(told)}`];
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
