/** The MCP server that the sandboxes of agent-thread tests run, and its tools as a catalogue. */
import { McpServer, type CallToolResult } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import { deferred, type Deferred } from '../../helpers/processes.js';

/** Observes and controls the tools of one bench. */
export class ToolBox {
  /** `name args` of each call, in the order they came. */
  readonly calls: string[] = [];
  readonly #started = new Map<string, Deferred<void>>();
  readonly #gates = new Map<string, Deferred<string>>();
  readonly cancelled: string[] = [];
  /** The content that `show` gives. */
  shown: CallToolResult['content'] = [];
  /** What the last call of `show` had. */
  metaOfShow: Record<string, unknown> = {};

  /** Resolves when `wait` has been called with that key. */
  started(key: string): Promise<void> {
    return this.startedOf(key).promise;
  }

  /** Lets the `wait` of that key answer. */
  finish(key: string, text = `done ${key}`): void {
    this.gate(key).resolve(text);
  }

  startedOf(key: string): Deferred<void> {
    return getOrMake(this.#started, key);
  }

  gate(key: string): Deferred<string> {
    return getOrMake(this.#gates, key);
  }
}

function getOrMake<T>(map: Map<string, Deferred<T>>, key: string): Deferred<T> {
  const found = map.get(key) ?? deferred<T>();
  map.set(key, found);
  return found;
}

export function createToolServer(box: ToolBox): McpServer {
  const server = new McpServer({ name: 'test-tools', version: '1' }, { capabilities: { tools: {} } });
  server.registerTool(
    'echo',
    {
      description: 'Says it again',
      inputSchema: z.strictObject({ text: z.string() }),
      annotations: { readOnlyHint: true },
    },
    async ({ text }) => {
      box.calls.push(`echo ${text}`);
      return { content: [{ type: 'text', text: `echo: ${text}` }] };
    },
  );
  server.registerTool(
    'wait',
    { description: 'Waits for the test', inputSchema: z.strictObject({ key: z.string() }) },
    async ({ key }, ctx) => {
      box.calls.push(`wait ${key}`);
      const progressToken = ctx.mcpReq._meta?.progressToken;
      if (progressToken !== undefined) {
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress: 1, message: `waiting ${key}`, _meta: { 'fairlead/stream': 'stdout' } },
        });
      }
      box.startedOf(key).resolve();
      ctx.mcpReq.signal.addEventListener('abort', () => {
        box.cancelled.push(key);
        box.finish(key);
      });
      return { content: [{ type: 'text', text: await box.gate(key).promise }] };
    },
  );
  server.registerTool(
    'print',
    {
      description: 'Prints piece by piece, each when the test has finished the one before',
      inputSchema: z.strictObject({ pieces: z.array(z.string()) }),
    },
    async ({ pieces }, ctx) => {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      for (const [index, message] of pieces.entries()) {
        if (progressToken === undefined) break;
        const stream = { 'fairlead/stream': 'stdout' };
        const params = { progressToken, progress: index + 1, message, _meta: stream };
        await ctx.mcpReq.notify({ method: 'notifications/progress', params });
        await box.gate(message).promise;
      }
      return { content: [{ type: 'text', text: 'printed' }] };
    },
  );
  server.registerTool(
    'ask',
    {
      description: 'Asks the person',
      inputSchema: z.strictObject({ times: z.number(), length: z.number().default(0) }),
    },
    async ({ times, length }, ctx) => {
      const answers = await Promise.all(
        Array.from({ length: times }, () =>
          ctx.mcpReq.elicitInput({
            mode: 'form',
            message: 'Which colour?'.padEnd(length, '!'),
            requestedSchema: { type: 'object', properties: { colour: { type: 'string' } }, required: ['colour'] },
          }),
        ),
      );
      box.calls.push(`ask ${JSON.stringify(answers)}`);
      return { content: [{ type: 'text', text: JSON.stringify(answers) }] };
    },
  );
  server.registerTool(
    'show',
    { description: 'Gives the content that the test has put there', inputSchema: z.strictObject({}) },
    async (_, ctx) => {
      box.metaOfShow = ctx.mcpReq._meta ?? {};
      return { content: box.shown };
    },
  );
  server.registerTool('fail', { description: 'Fails', inputSchema: z.strictObject({}) }, async () => {
    box.calls.push('fail');
    return { isError: true, content: [{ type: 'text', text: 'it failed' }] };
  });
  return server;
}

export const TOOLS: ToolDefinition[] = [
  {
    name: 'echo',
    description: 'Says it again',
    inputSchema: {
      type: 'object',
      properties: { text: { type: 'string' } },
      required: ['text'],
      additionalProperties: false,
    },
    readOnly: true,
  },
  {
    name: 'wait',
    description: 'Waits for the test',
    inputSchema: {
      type: 'object',
      properties: { key: { type: 'string' } },
      required: ['key'],
      additionalProperties: false,
    },
  },
  {
    name: 'print',
    description: 'Prints',
    inputSchema: {
      type: 'object',
      properties: { pieces: { type: 'array', items: { type: 'string' } } },
      required: ['pieces'],
    },
  },
  {
    name: 'ask',
    description: 'Asks the person',
    inputSchema: {
      type: 'object',
      properties: { times: { type: 'number' }, length: { type: 'number' } },
      required: ['times'],
    },
  },
  { name: 'show', description: 'Gives content', inputSchema: { type: 'object', properties: {} } },
  { name: 'fail', description: 'Fails', inputSchema: { type: 'object', properties: {}, additionalProperties: false } },
];
