/** A tool as its MCP server describes it, in the form that crosses threads. Every thread. */
import type { Tool } from '@modelcontextprotocol/client';

export interface ToolDefinition {
  name: string;
  description: string;
  inputSchema: Record<string, unknown>;
  readOnly?: boolean;
  destructive?: boolean;
}

export function toToolDefinition(tool: Tool): ToolDefinition {
  const { annotations } = tool;
  return {
    name: tool.name,
    description: tool.description ?? tool.title ?? '',
    inputSchema: tool.inputSchema,
    ...(annotations?.readOnlyHint === undefined ? {} : { readOnly: annotations.readOnlyHint }),
    ...(annotations?.destructiveHint === undefined ? {} : { destructive: annotations.destructiveHint }),
  };
}
