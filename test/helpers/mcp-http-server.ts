/** A real MCP server over HTTP for tests, both eras: its tools change as the test wants, it dies and comes back. Runs in tests. */
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer, ResourceTemplate, type McpHttpHandler } from '@modelcontextprotocol/server';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

export interface HttpTool {
  description: string;
  /** What it answers; `echo` with its text where nothing is given. */
  answer?: (args: { text: string }) => Promise<string> | string;
  readOnly?: boolean;
}

export interface McpHttpServerOptions {
  tools?: Record<string, HttpTool>;
  /** Two resources, a template and a prompt. */
  rich?: boolean;
}

export async function startMcpHttpServer(options: McpHttpServerOptions = {}): Promise<McpHttpServer> {
  const server = new McpHttpServer(options);
  await server.start();
  return server;
}

export class McpHttpServer {
  /** Changed as the test likes; `changed()` tells who listens. */
  readonly tools: Map<string, HttpTool>;
  /** Of each tool call, in the order they came. */
  readonly calls: string[] = [];
  /** Of each request, in the order they came. */
  readonly headers: IncomingHttpHeaders[] = [];
  port = 0;
  readonly #rich: boolean;
  #http: Server | undefined;
  #handler: McpHttpHandler | undefined;

  constructor({ tools = {}, rich = false }: McpHttpServerOptions) {
    this.tools = new Map(Object.entries(tools));
    this.#rich = rich;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/mcp`;
  }

  /** On the port that it had before. */
  async start(): Promise<void> {
    this.#handler = createMcpHandler(() => this.#make());
    const handle = toNodeHandler(this.#handler);
    const http = createServer((request, response) => {
      this.headers.push(request.headers);
      void handle(request as Parameters<typeof handle>[0], response);
    });
    this.#http = http;
    await new Promise<void>((resolve, reject) => {
      http.once('error', reject);
      http.listen(this.port, '127.0.0.1', resolve);
    });
    this.port = (http.address() as AddressInfo).port;
  }

  /** Dies: every connection is cut. */
  async stop(): Promise<void> {
    const http = this.#http;
    if (!http) return;
    this.#http = undefined;
    const closed = new Promise<void>((resolve) => http.close(() => resolve()));
    http.closeAllConnections();
    await this.#handler?.close();
    await closed;
  }

  changed(): void {
    this.#handler?.notify.toolsChanged();
  }

  #make(): McpServer {
    const server = new McpServer(
      { name: 'test-http', version: '1' },
      {
        capabilities: {
          tools: { listChanged: true },
          ...(this.#rich ? { resources: { listChanged: true }, prompts: { listChanged: true } } : {}),
        },
      },
    );
    for (const [name, { description, answer, readOnly }] of this.tools) {
      server.registerTool(
        name,
        {
          description,
          inputSchema: z.object({ text: z.string().default('') }),
          ...(readOnly === undefined ? {} : { annotations: { readOnlyHint: readOnly } }),
        },
        async (args) => {
          this.calls.push(name);
          return { content: [{ type: 'text', text: (await answer?.(args)) ?? `${name}: ${args.text}` }] };
        },
      );
    }
    if (this.#rich) addResources(server);
    return server;
  }
}

function addResources(server: McpServer): void {
  server.registerResource('notes', 'test://notes', { description: 'Notes', mimeType: 'text/plain' }, async (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'remember the milk' }],
  }));
  server.registerResource(
    'page',
    new ResourceTemplate('test://page/{number}', { list: undefined }),
    {},
    async (uri) => ({
      contents: [{ uri: uri.href, text: `page ${uri.pathname}` }],
    }),
  );
  server.registerPrompt(
    'greet',
    { description: 'Greets someone', argsSchema: z.object({ name: z.string() }) },
    async ({ name }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Please greet ${name}.` } }] }),
  );
}
