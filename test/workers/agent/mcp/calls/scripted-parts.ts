/** The parts that run a tool call, with one scripted connection behind every server. Runs in tests. */
import pino from 'pino';
import { parseConfig } from '../../../../../src/shared/config.js';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';
import { Meter, type MeterOptions } from '../../../../../workers/agent/budget/meter.js';
import { createPolicy } from '../../../../../workers/agent/mcp/calls/policy.js';
import type { RunParts } from '../../../../../workers/agent/mcp/calls/run-tool.js';
import { ForeignSchemas } from '../../../../../workers/agent/schema/foreign-schemas.js';
import { ToolArgs } from '../../../../../workers/agent/mcp/calls/tool-args.js';
import { buildToolSet } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';
import type { ServerConnection, ToolCall } from '../../../../../workers/agent/mcp/host/server-connection.js';

export const STATUS: ToolDefinition = {
  name: 'status',
  description: '',
  inputSchema: { type: 'object' },
  outputSchema: { type: 'object', properties: { up: { type: 'boolean' } }, required: ['up'] },
};

export interface ScriptedParts {
  parts: RunParts;
  /** What the catalogue was told of the servers. */
  noted: string[];
  calls: ToolCall[];
}

/** `answer`: what the one connection to any server does. */
export function scriptedParts(answer: () => Promise<unknown>, approvals: object = {}): ScriptedParts {
  const noted: string[] = [];
  const calls: ToolCall[] = [];
  const connection = {
    era: 'modern',
    capabilities: { resources: {} },
    callTool: (call: ToolCall) => {
      calls.push(call);
      return answer();
    },
    sendToolCall: answer,
    request: answer,
  } as unknown as ServerConnection;
  const mcpServers = { fast: { image: 'x', timeoutMs: 7 } };
  const config = parseConfig({ mcpServers, approvals, sandbox: { toolTimeoutMs: 9 } }, {});
  const toolSet = buildToolSet({ fast: [STATUS] }, { notes: { docs: { resources: true } } });
  const log = pino({ level: 'silent' });
  const schemas = new ForeignSchemas({ log });
  // No budget and no price is configured, so neither store nor model is asked.
  const meter = new Meter({ config, log } as unknown as MeterOptions);
  const parts = {
    config,
    meter,
    schemas,
    toolArgs: new ToolArgs(schemas),
    policy: createPolicy(config, schemas),
    toolSet: () => toolSet,
    servers: { connection: async () => connection, releaseSession: async () => undefined },
    catalogue: {
      noteGood: (server: string) => noted.push(`good ${server}`),
      noteTrouble: (user: string, server: string, error: Error) => noted.push(`${user}: ${server}: ${error.message}`),
    },
  } as unknown as RunParts;
  return { parts, noted, calls };
}
