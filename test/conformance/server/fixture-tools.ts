/** The tools that the conformance suite's server scenarios call, on the MCP SDK's own server. */
import {
  fromJsonSchema,
  inputRequired,
  inputResponse,
  type CallToolResult,
  type InputRequest,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/** One red pixel, and a WAV of no sound. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';

/** The scenario wants its steps apart, as a tool that works has them. */
const STEP_MS = 20;

type Asked = ReturnType<typeof inputRequired>;
type Tool = (
  ctx: ServerContext,
  args: Record<string, string>,
) => CallToolResult | Asked | Promise<CallToolResult | Asked>;

export interface FixtureHooks {
  resourceUpdated(uri: string): void;
  toolsChanged(): void;
  promptsChanged(): void;
}

const text = (line: string): CallToolResult => ({ content: [{ type: 'text', text: line }] });

const form = (message: string, properties: object, required: string[] = []): InputRequest =>
  ({
    method: 'elicitation/create',
    params: { mode: 'form', message, requestedSchema: { type: 'object', properties, required } },
  }) as InputRequest;

const sample = (prompt: string, maxTokens: number): InputRequest =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens });

/** Asks until each question has its response; then `done`. */
function asking(
  ctx: ServerContext,
  inputRequests: Record<string, InputRequest>,
  done: (responses: Record<string, unknown>) => CallToolResult | Asked,
  state?: string,
): CallToolResult | Asked {
  const responses = ctx.mcpReq.inputResponses;
  const missing = Object.keys(inputRequests).some((key) => inputResponse(responses, key).kind === 'missing');
  if (missing) return inputRequired({ inputRequests, ...(state === undefined ? {} : { requestState: state }) });
  return done(responses ?? {});
}

function contentOf(ctx: ServerContext, key: string): string {
  const view = inputResponse(ctx.mcpReq.inputResponses, key);
  return view.kind === 'elicit' ? `action=${view.action}, content=${JSON.stringify(view.content ?? {})}` : view.kind;
}

function elicited(key: string, request: (args: Record<string, string>) => InputRequest, intro: string): Tool {
  return (ctx, args) => asking(ctx, { [key]: request(args) }, () => text(`${intro}: ${contentOf(ctx, key)}`));
}

const NAME = { name: { type: 'string' } };
const CONFIRM = { confirm: form('Please confirm', { ok: { type: 'boolean' } }, ['ok']) };

const DEFAULTS = {
  name: { type: 'string', description: 'User name', default: 'John Doe' },
  age: { type: 'integer', description: 'User age', default: 30 },
  score: { type: 'number', description: 'User score', default: 95.5 },
  status: { type: 'string', description: 'User status', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', description: 'Verification status', default: true },
};

const titled = (value: string): object[] =>
  ['One', 'Two', 'Three'].map((title, index) => ({ const: `${value}${index + 1}`, title: `Option ${title}` }));

const ENUMS = {
  untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
  titledSingle: { type: 'string', oneOf: titled('value') },
  legacyEnum: { type: 'string', enum: ['opt1', 'opt2'], enumNames: ['Option One', 'Option Two'] },
  untitledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { type: 'string', enum: ['option1', 'option2'] } },
  titledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { anyOf: titled('value') } },
};

async function steps(count: number, step: (index: number) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index++) {
    await step(index);
    await delay(STEP_MS);
  }
}

async function progress({ mcpReq }: ServerContext, done: number): Promise<void> {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  const params = { progressToken, progress: done, total: 100, message: `Completed step ${done} of 100` };
  await mcpReq.notify({ method: 'notifications/progress', params });
}

function multiRound(ctx: ServerContext): CallToolResult | Asked {
  const state = ctx.mcpReq.requestState<string>();
  const second = { step2: form('Step 2: What is your favorite color?', { color: { type: 'string' } }, ['color']) };
  if (state === 'round-2') return asking(ctx, second, () => text(`You like it: ${contentOf(ctx, 'step2')}`), state);
  const first = { step1: form('Step 1: What is your name?', NAME, ['name']) };
  return asking(ctx, first, () => inputRequired({ inputRequests: second, requestState: 'round-2' }), 'round-1');
}

const TOOLS: Record<string, Tool> = {
  test_simple_text: () => text('This is a simple text response for testing.'),
  test_image_content: () => ({ content: [{ type: 'image', data: PNG, mimeType: 'image/png' }] }),
  test_audio_content: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  test_embedded_resource: () => ({
    content: [
      { type: 'resource', resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'embedded' } },
    ],
  }),
  test_multiple_content_types: () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      { type: 'image', data: PNG, mimeType: 'image/png' },
      { type: 'resource', resource: { uri: 'test://mixed', mimeType: 'application/json', text: '{"test":"data"}' } },
    ],
  }),
  test_error_handling: () => {
    throw new Error('This tool intentionally returns an error for testing');
  },
  test_tool_with_logging: async ({ mcpReq }) => {
    const lines = ['Tool execution started', 'Tool processing data', 'Tool execution completed'];
    await steps(lines.length, (index) => mcpReq.log('info', lines[index]));
    return text('Tool with logging executed successfully');
  },
  test_logging_tool: async ({ mcpReq }) => {
    await mcpReq.log('info', 'Diagnostic trace');
    return text('Logging evaluated');
  },
  test_tool_with_progress: async (ctx) => {
    await steps(3, (index) => progress(ctx, index * 50));
    return text(String(ctx.mcpReq._meta?.progressToken ?? ''));
  },
  test_streaming_elicitation: async (ctx) => {
    await progress(ctx, 50);
    return text('Streaming complete');
  },
  test_sampling: (ctx, { prompt = '' }) =>
    asking(ctx, { answer: sample(prompt, 100) }, ({ answer }) => text(`LLM response: ${JSON.stringify(answer)}`)),
  test_missing_capability: (ctx) => asking(ctx, { answer: sample('anything', 10) }, () => text('Success')),
  test_elicitation: elicited(
    'response',
    ({ message = '' }) =>
      form(
        message,
        {
          username: { type: 'string', description: "User's response" },
          email: { type: 'string', description: "User's email address" },
        },
        ['username', 'email'],
      ),
    'User response',
  ),
  test_elicitation_sep1034_defaults: elicited('form', () => form('Please review', DEFAULTS), 'Elicitation completed'),
  test_elicitation_sep1330_enums: elicited('form', () => form('Please select', ENUMS), 'Elicitation completed'),
  test_input_required_result_elicitation: elicited(
    'user_name',
    () => form('What is your name?', NAME, ['name']),
    'Hello',
  ),
  test_input_required_result_sampling: (ctx) =>
    asking(ctx, { capital_question: sample('What is the capital of France?', 100) }, (all) =>
      text(JSON.stringify(all)),
    ),
  test_input_required_result_list_roots: (ctx) =>
    asking(ctx, { client_roots: inputRequired.listRoots() }, (all) => text(JSON.stringify(all))),
  test_input_required_result_request_state: (ctx) =>
    asking(
      ctx,
      CONFIRM,
      () => text(ctx.mcpReq.requestState<string>() === 'request-state' ? 'state-ok' : 'the state is lost'),
      'request-state',
    ),
  test_input_required_result_multiple_inputs: (ctx) =>
    asking(
      ctx,
      {
        user_name: form('What is your name?', NAME, ['name']),
        greeting: sample('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      },
      (all) => text(JSON.stringify(all)),
      'multiple-inputs',
    ),
  test_input_required_result_multi_round: multiRound,
  test_input_required_result_tampered_state: (ctx) => asking(ctx, CONFIRM, () => text('integrity-ok'), 'tamper-test'),
  test_input_required_result_capabilities: (ctx) =>
    asking(
      ctx,
      {
        elicit_input: form('Elicitation input', { value: { type: 'string' } }, ['value']),
        sample_input: sample('Sample request', 50),
      },
      () => text('capabilities-ok'),
      'capabilities',
    ),
};

/** The whole vocabulary of JSON Schema 2020-12 has to come through as it is. */
const SCHEMA_2020 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  // An object with `then` is a thenable to whoever awaits it: written as the text that it is on the wire.
  ...(JSON.parse(
    '{"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]}}',
  ) as object),
  additionalProperties: false,
};

/** An argument that clients mirror in a header, for whatever routes requests on the way. */
const MIRRORED = {
  type: 'object',
  properties: {
    region: { type: 'string', 'x-mcp-header': 'Region' },
    query: { type: 'string' },
  },
  required: ['region', 'query'],
};

const ARGUMENTS: Record<string, z.ZodRawShape> = {
  test_sampling: { prompt: z.string() },
  test_elicitation: { message: z.string() },
};

export function registerTools(mcp: McpServer, hooks: FixtureHooks): void {
  const triggers: Record<string, Tool> = {
    test_trigger_tool_change: () => {
      hooks.toolsChanged();
      return text('Mutation triggered');
    },
    test_trigger_resource_update: () => {
      hooks.resourceUpdated('test://watched-resource');
      return text('Update triggered');
    },
    test_trigger_prompt_change: () => {
      hooks.promptsChanged();
      return text('Mutation triggered');
    },
  };
  const schemas = { json_schema_2020_12_tool: SCHEMA_2020, test_custom_header: MIRRORED };
  for (const [name, schema] of Object.entries(schemas)) {
    const inputSchema = fromJsonSchema<Record<string, unknown>>(schema);
    mcp.registerTool(name, { description: `The suite's ${name}`, inputSchema }, async () => text('called'));
  }
  for (const [name, tool] of Object.entries({ ...TOOLS, ...triggers })) {
    const inputSchema = z.object(ARGUMENTS[name] ?? {});
    mcp.registerTool(name, { description: `The suite's ${name}`, inputSchema }, async (args, ctx) =>
      tool(ctx, args as Record<string, string>),
    );
  }
}
