/** A tool as its MCP server describes it, in the form that crosses threads. Docker thread and agent threads. */
import type { Tool } from '@modelcontextprotocol/client';
import { cutText } from './cut-text.js';

export interface ToolDefinition {
  name: string;
  title?: string;
  description: string;
  inputSchema: Record<string, unknown>;
  outputSchema?: Record<string, unknown>;
  readOnly?: boolean;
  destructive?: boolean;
  /** As the server gives them, with `readOnlyHint` and `destructiveHint`. */
  annotations?: Record<string, unknown>;
}

/** As MCP recommends. Names are compared with the patterns of the rules, which takes far longer for a long one. */
const MAX_NAME = 128;
const MAX_DESCRIPTION = 16_384;
const MAX_TITLE = 200;
/** Larger schemas are dropped, since each thread keeps every definition and compiles its schema. */
const MAX_SCHEMA_BYTES = 262_144;
const MAX_ANNOTATION_BYTES = 4_096;

/** Leaves out tools whose name is empty, too long or of several lines: no pattern of the rules matches a line break, not even `*`. */
export function toToolDefinitions(tools: readonly Tool[]): ToolDefinition[] {
  return tools.filter(({ name }) => isToolName(name)).map(toToolDefinition);
}

function isToolName(name: string): boolean {
  return name !== '' && name.length <= MAX_NAME && !/\p{Cc}|\p{Zl}|\p{Zp}/u.test(name);
}

/** Limits every part, since the server is not trusted. A schema that is too large becomes one that allows any object. */
function toToolDefinition(tool: Tool): ToolDefinition {
  const { annotations } = tool;
  const title = tool.title ?? annotations?.title;
  return {
    name: tool.name,
    ...(title === undefined ? {} : { title: cutText(title, MAX_TITLE) }),
    description: cutText(tool.description ?? title ?? '', MAX_DESCRIPTION),
    inputSchema: fits(tool.inputSchema, MAX_SCHEMA_BYTES) ? tool.inputSchema : { type: 'object' },
    ...(tool.outputSchema && fits(tool.outputSchema, MAX_SCHEMA_BYTES) ? { outputSchema: tool.outputSchema } : {}),
    ...(annotations?.readOnlyHint === undefined ? {} : { readOnly: annotations.readOnlyHint }),
    ...(annotations?.destructiveHint === undefined ? {} : { destructive: annotations.destructiveHint }),
    ...(annotations && fits(annotations, MAX_ANNOTATION_BYTES) ? { annotations } : {}),
  };
}

function fits(value: object, maxBytes: number): boolean {
  return JSON.stringify(value).length <= maxBytes;
}
