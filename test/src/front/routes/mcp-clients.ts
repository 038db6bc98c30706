/** The MCP clients of the world, as tests connect them to /mcp: the SDK's first version, and its second in both eras. */
import { Client, StreamableHTTPClientTransport, type ElicitResult } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

export type Kind = 'v1' | 'v2 legacy' | 'v2 modern';
export const KINDS: readonly Kind[] = ['v1', 'v2 legacy', 'v2 modern'];

export interface CallOptions {
  signal?: AbortSignal;
  onProgress?: (message: string) => void;
}

export interface CalledTool {
  isError: boolean;
  text: string;
}

export interface McpClient {
  /** Of the older era. */
  sessionId: string | undefined;
  listTools(): Promise<{ name: string; description?: string | undefined; annotations?: object | undefined }[]>;
  callTool(name: string, args: Record<string, unknown>, options?: CallOptions): Promise<CalledTool>;
  /** Ends the session where there is one. */
  end(): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  token?: string;
  /** Absent: it cannot be asked. */
  onElicit?: (message: string) => ElicitResult;
  /** The session of ours. */
  session?: string;
}

const INFO = { name: 'test-client', version: '1.0.0' };

export async function connectMcp(kind: Kind, url: string, options: ConnectOptions = {}): Promise<McpClient> {
  const { token, onElicit, session } = options;
  const target = new URL(`${url}/mcp${session === undefined ? '' : `?session=${session}`}`);
  const requestInit = { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } };
  const capabilities = onElicit ? { elicitation: { form: {} } } : {};
  if (kind === 'v1') return connectV1(target, requestInit, { capabilities, onElicit });
  const transport = new StreamableHTTPClientTransport(target, { requestInit });
  const client = new Client(INFO, {
    capabilities,
    ...(kind === 'v2 modern' ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {}),
  });
  if (onElicit) client.setRequestHandler('elicitation/create', ({ params }) => onElicit(params.message));
  await client.connect(transport);
  return {
    sessionId: transport.sessionId,
    listTools: async () => (await client.listTools()).tools,
    callTool: async (name, args, { signal, onProgress } = {}) => {
      const result = await client.callTool(
        { name, arguments: args },
        {
          ...(signal ? { signal } : {}),
          ...(onProgress ? { onprogress: ({ message }) => onProgress(message ?? '') } : {}),
        },
      );
      return called(result);
    },
    end: () => transport.terminateSession(),
    close: () => client.close(),
  };
}

async function connectV1(
  target: URL,
  requestInit: RequestInit,
  { capabilities, onElicit }: { capabilities: object; onElicit: ConnectOptions['onElicit'] },
): Promise<McpClient> {
  const transport = new TransportV1(target, { requestInit });
  const client = new ClientV1(INFO, { capabilities });
  if (onElicit) client.setRequestHandler(ElicitRequestSchema, ({ params }) => onElicit(params.message));
  await client.connect(transport);
  return {
    sessionId: transport.sessionId,
    listTools: async () => (await client.listTools()).tools,
    callTool: async (name, args, { signal, onProgress } = {}) => {
      const result = await client.callTool({ name, arguments: args }, undefined, {
        ...(signal ? { signal } : {}),
        ...(onProgress ? { onprogress: ({ message }) => onProgress(message ?? '') } : {}),
      });
      return called(result);
    },
    end: () => transport.terminateSession(),
    close: () => client.close(),
  };
}

function called(result: object): CalledTool {
  const { content, isError } = result as { isError?: unknown; content?: unknown };
  const blocks = (content ?? []) as { type: string; text?: string }[];
  return { isError: isError === true, text: blocks.map(({ text = '' }) => text).join('\n') };
}
