/** An MCP server with what the conformance suite's server scenarios want, for Fairlead to pass on at /mcp. */
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { PNG, registerTools, type FixtureHooks } from './fixture-tools.js';

export async function startFixtureServer(): Promise<{ url: string; close(): Promise<void> }> {
  /** Each change adds one. */
  const changes = { tools: 0, prompts: 0 };
  const hooks: FixtureHooks = {
    resourceUpdated: (uri) => handler.notify.resourceUpdated(uri),
    toolsChanged: () => {
      changes.tools++;
      handler.notify.toolsChanged();
    },
    promptsChanged: () => {
      changes.prompts++;
      handler.notify.promptsChanged();
    },
  };
  const handler = createMcpHandler(() => {
    const mcp = new McpServer(
      { name: 'conformance-fixture', version: '1.0.0' },
      {
        capabilities: {
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { subscribe: true },
          completions: {},
          logging: {},
        },
      },
    );
    registerTools(mcp, hooks);
    for (let index = 0; index < changes.tools; index++) {
      mcp.registerTool(`changed_${index}`, { description: 'Came later' }, async () => ({ content: [] }));
    }
    registerResources(mcp);
    registerPrompts(mcp);
    mcp.server.setRequestHandler('completion/complete', async () => ({
      completion: { values: [], total: 0, hasMore: false },
    }));
    return mcp;
  });
  // Its types do not know that Node's request may lack what every HTTP request has.
  const toNode = toNodeHandler(handler) as unknown as RequestListener;
  const server = createServer(toNode);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      await handler.close();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function registerResources(mcp: McpServer): void {
  const fixed = (uri: string, mimeType: string, content: { text: string } | { blob: string }): void => {
    mcp.registerResource(
      uri.slice(uri.indexOf('//') + 2),
      uri,
      { description: `The suite's ${uri}`, mimeType },
      async () => ({
        contents: [{ uri, mimeType, ...content }],
      }),
    );
  };
  fixed('test://static-text', 'text/plain', { text: 'This is the content of the static text resource.' });
  fixed('test://static-binary', 'image/png', { blob: PNG });
  fixed('test://watched-resource', 'text/plain', { text: 'Watched resource content' });
  mcp.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'A resource template', mimeType: 'application/json' },
    async (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id, data: `Data for ID: ${String(id)}` }),
        },
      ],
    }),
  );
}

const user = (line: string) => ({ role: 'user' as const, content: { type: 'text' as const, text: line } });

function registerPrompts(mcp: McpServer): void {
  mcp.registerPrompt('test_simple_prompt', { description: 'Without arguments' }, async () => ({
    messages: [user('This is a simple prompt for testing.')],
  }));
  mcp.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'With arguments', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    async ({ arg1, arg2 }) => ({ messages: [user(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)] }),
  );
  mcp.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'With a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    async ({ resourceUri: uri }) => ({
      messages: [
        { role: 'user', content: { type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'embedded' } } },
      ],
    }),
  );
  mcp.registerPrompt('test_prompt_with_image', { description: 'With an image' }, async () => ({
    messages: [{ role: 'user', content: { type: 'image', data: PNG, mimeType: 'image/png' } }, user('Analyze it.')],
  }));
  mcp.registerPrompt('test_input_required_result_prompt', { description: 'Asks for its context' }, async (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'user_context');
    if (answer.kind === 'elicit') return { messages: [user(`Prompt with context: ${JSON.stringify(answer.content)}`)] };
    const question = inputRequired.elicit({
      message: 'What context should the prompt use?',
      requestedSchema: { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] },
    });
    return inputRequired({ inputRequests: { user_context: question } });
  });
}
