/** Base of the connections that have a client of their own: passes everything on to it. Agent threads. */
import type { CallToolResult, ProtocolEra } from '@modelcontextprotocol/client';
import type { HostClient } from './host-client.js';
import type { InputAnswers, InputWanted } from './input-wanted.js';
import type { ServerConnection, ServerRequest, ToolCall } from './server-connection.js';

export abstract class ClientConnection implements ServerConnection {
  protected readonly client: HostClient;

  protected constructor(client: HostClient) {
    this.client = client;
  }

  get era(): ProtocolEra {
    return this.client.era;
  }

  get capabilities(): Readonly<Record<string, unknown>> {
    return this.client.capabilities;
  }

  /** How long no request has run; 0 while one runs. */
  get idleMs(): number {
    return this.client.idleMs;
  }

  /** How long no request has run, whatever is watched. */
  get quietMs(): number {
    return this.client.quietMs;
  }

  callTool(call: ToolCall): Promise<CallToolResult> {
    return this.client.callTool(call);
  }

  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted> {
    return this.client.sendToolCall(call, answers);
  }

  request(request: ServerRequest): Promise<Record<string, unknown>> {
    return this.client.request(request);
  }

  watchResource(uri: string, onUpdated: () => void, options: { timeoutMs: number }): Promise<() => Promise<void>> {
    return this.client.watchResource(uri, onUpdated, options);
  }
}
