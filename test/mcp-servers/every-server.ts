/** What every real MCP server is put through, however it is reached. Runs in tests. */
import type { Test } from 'tap';
import type { ServerAsks, ServerConnection, ToolCall } from '../../workers/agent/mcp/host/server-connection.js';
import { callOf, textOf } from '../workers/agent/mcp/command/command-bench.js';

/** A tool of the server for each thing that it can show. */
export interface Shows {
  /** A call that answers with text. */
  plain: { name: string; args?: Record<string, unknown>; answers: RegExp };
  /** A call that reports progress, and runs until it is cancelled, or long enough. */
  slow?: { name: string; args?: Record<string, unknown>; cancelled?: string };
  /** A call that asks the person, and answers with what was said. */
  asks?: { name: string; args?: Record<string, unknown>; answer: Record<string, unknown>; answers: RegExp };
}

export type Opener = () => Promise<ServerConnection>;

export async function showAll(t: Test, shows: Shows, open: Opener): Promise<void> {
  const connection = await open();
  // First of all, since a server that has just started may change its tools, which are then listed beside the call.
  if (shows.asks) await showAsking(t, shows.asks, connection);
  const { tools } = (await connection.request({ ...callOf(''), method: 'tools/list', params: {} })) as {
    tools: { name: string }[];
  };
  const { plain, slow, asks } = shows;
  for (const shown of [plain, slow, asks]) {
    if (shown)
      t.ok(
        tools.some(({ name }) => name === shown.name),
        `${shown.name} is listed`,
      );
  }
  t.match(await textOf(connection, callOf(plain.name, plain.args)), plain.answers);
  if (slow) await showSlow(t, slow, connection);
  if (asks) await showAsking(t, asks, connection);
  t.match(await textOf(connection, callOf(plain.name, plain.args)), plain.answers, 'and it serves on');
}

async function showSlow(t: Test, slow: NonNullable<Shows['slow']>, connection: ServerConnection): Promise<void> {
  const stop = new AbortController();
  const seen: string[] = [];
  const call: ToolCall = callOf(slow.name, slow.args, {
    signal: stop.signal,
    // Cancelled in the middle: as soon as something has been reported.
    onOutput: (_stream, text) => {
      seen.push(text);
      stop.abort();
    },
  });
  await t.rejects(connection.callTool(call), { code: 'ERR_CANCELLED' });
  t.ok(seen.length > 0, 'progress is seen');
  if (slow.cancelled)
    t.equal(await textOf(connection, callOf(slow.cancelled)), '1', 'the server knows that it was cancelled');
}

export async function showAsking(
  t: Test,
  asks: NonNullable<Shows['asks']>,
  connection: ServerConnection,
): Promise<void> {
  const questions: string[] = [];
  const person: ServerAsks = {
    elicit: async ({ message, schema }) => {
      questions.push(message);
      t.ok(schema, 'with a form');
      return { action: 'accept', content: asks.answer };
    },
  };
  t.match(await textOf(connection, callOf(asks.name, asks.args, { asks: person })), asks.answers);
  t.equal(questions.length, 1);
}

const COLOUR = { name: 'ask', answer: { colour: 'blue' }, answers: /accept.*blue/ };
const OURS: Shows = {
  plain: { name: 'echo', args: { text: 'hello' }, answers: /^hello$/ },
  slow: { name: 'wait', cancelled: 'cancelled' },
  asks: COLOUR,
};

export const SHOWS = {
  v1: OURS,
  v2: OURS,
  everything: {
    plain: { name: 'echo', args: { message: 'hello' }, answers: /hello/ },
    slow: { name: 'trigger-long-running-operation', args: { duration: 60, steps: 300 } },
    asks: {
      name: 'trigger-elicitation-request',
      answer: { name: 'Ann' },
      answers: /Ann/,
    },
  },
  filesystem: {
    plain: { name: 'list_allowed_directories', answers: /Allowed directories:\n.*\// },
  },
  memory: {
    plain: { name: 'search_nodes', args: { query: 'none' }, answers: /"entities": \[\]/ },
  },
} satisfies Record<string, Shows>;
