/** Judges a Messages API request as the real API would, in words: an empty list means it is accepted. Runs in tests. */

import { checkImages, type SentImage } from './image-rules.js';
import { checkSchema } from './schema-rules.js';

/** What the real API allows at the top level; anything else is «Extra inputs are not permitted». */
const TOP_LEVEL = new Set(
  (
    'model messages max_tokens system tools tool_choice stream stop_sequences temperature top_p top_k metadata thinking ' +
    'service_tier container context_management mcp_servers cache_control inference_geo output_config diagnostics speed ' +
    'user_profile_id workspace_id betas'
  ).split(' '),
);

const BLOCK_KEYS: Record<string, readonly string[]> = {
  text: ['type', 'text', 'cache_control', 'citations'],
  image: ['type', 'source', 'cache_control', 'transformations'],
  thinking: ['type', 'thinking', 'signature'],
  redacted_thinking: ['type', 'data'],
  tool_use: ['type', 'id', 'name', 'input', 'cache_control', 'caller', 'toolset_name'],
  tool_result: ['type', 'tool_use_id', 'content', 'is_error', 'cache_control', 'toolset_name'],
};

const ALLOWED_IN: Record<Role, readonly string[]> = {
  user: ['text', 'image', 'tool_result', 'document', 'search_result'],
  assistant: ['text', 'thinking', 'redacted_thinking', 'tool_use'],
};

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const TOOL_USE_ID = /^[a-zA-Z0-9_-]+$/;
const MAX_BREAKPOINTS = 4;

type Role = 'user' | 'assistant';
type Json = Record<string, unknown>;

interface Turn {
  role: Role;
  /** The first message's index: consecutive messages of one role are one turn. */
  index: number;
  blocks: Json[];
}

export function validateMessages(body: unknown): string[] {
  if (!isObject(body)) return ['body: Input should be a valid dictionary'];
  if (!isWellFormed(body)) return ['The request body is not valid JSON: no low surrogate in string'];
  const problems: string[] = [];
  for (const key of Object.keys(body)) {
    if (!TOP_LEVEL.has(key)) problems.push(`${key}: Extra inputs are not permitted`);
  }
  if (typeof body['model'] !== 'string' || body['model'] === '') problems.push('model: Field required');
  const maxTokens = body['max_tokens'];
  if (!Number.isInteger(maxTokens) || Number(maxTokens) < 1) problems.push('max_tokens: Field required, at least 1');
  checkSystem(body['system'], problems);
  checkTools(body['tools'], problems);
  checkThinkingConfig(body, problems);
  const turns = readTurns(body['messages'], problems);
  checkOrder(turns, problems);
  checkToolPairs(turns, problems);
  checkContinuedTurn(turns, body['thinking'], problems);
  checkImages(imagesOf(body['messages'], 'messages'), problems);
  const breakpoints = countBreakpoints(body);
  if (breakpoints > MAX_BREAKPOINTS) {
    problems.push(`A maximum of 4 blocks with cache_control may be provided. Found ${breakpoints}.`);
  }
  return problems;
}

function checkSystem(system: unknown, problems: string[]): void {
  if (system === undefined || typeof system === 'string') return;
  if (!Array.isArray(system)) {
    problems.push('system: Input should be a string or a list of text blocks');
    return;
  }
  system.forEach((block: unknown, i) => {
    if (!isObject(block) || block['type'] !== 'text') problems.push(`system.${i}: Input should be a text block`);
    else checkBlock(block, `system.${i}`, problems);
  });
}

function checkTools(tools: unknown, problems: string[]): void {
  if (tools === undefined) return;
  if (!Array.isArray(tools)) {
    problems.push('tools: Input should be a valid list');
    return;
  }
  const names = new Set<string>();
  tools.forEach((tool: unknown, i) => {
    if (!isObject(tool)) {
      problems.push(`tools.${i}: Input should be a valid dictionary`);
      return;
    }
    const name = String(tool['name']);
    if (names.has(name)) problems.push(`tools: Tool names must be unique: ${name}`);
    names.add(name);
    if (typeof tool['type'] === 'string' && tool['type'] !== 'custom') return; // a tool the API itself runs
    if (!TOOL_NAME.test(name)) problems.push(`tools.${i}.custom.name: String should match pattern ${TOOL_NAME.source}`);
    if (tool['description'] !== undefined && typeof tool['description'] !== 'string') {
      problems.push(`tools.${i}.custom.description: Input should be a valid string`);
    }
    const schema = tool['input_schema'];
    if (isObject(schema)) checkSchema(schema, `tools.${i}.custom.input_schema`, problems);
    else problems.push(`tools.${i}.custom.input_schema: Field required`);
    for (const key of ['annotations', 'title', 'inputSchema', 'outputSchema', '_meta', 'server']) {
      if (key in tool) problems.push(`tools.${i}.${key}: Extra inputs are not permitted`);
    }
  });
}

function checkThinkingConfig(body: Json, problems: string[]): void {
  const thinking = body['thinking'];
  if (thinking === undefined) return;
  if (!isObject(thinking)) {
    problems.push('thinking: Input should be a valid dictionary');
    return;
  }
  checkThinkingType(String(body['model']), String(thinking['type']), problems);
  if (thinking['type'] !== 'enabled') return;
  const budget = thinking['budget_tokens'];
  if (typeof budget !== 'number' || budget < 1024) problems.push('thinking.budget_tokens: at least 1024');
  else if (budget >= Number(body['max_tokens']))
    problems.push('max_tokens must be greater than thinking.budget_tokens');
  const choice = body['tool_choice'];
  if (isObject(choice) && (choice['type'] === 'any' || choice['type'] === 'tool')) {
    problems.push('Thinking may not be enabled when tool_choice forces tool use.');
  }
}

function checkThinkingType(model: string, type: string, problems: string[]): void {
  if (!['enabled', 'adaptive', 'disabled'].includes(type)) problems.push('thinking.type: unknown');
  if (type === 'disabled') return;
  if (/claude-(?:3-5|3-haiku|3-opus|2)/.test(model)) problems.push('thinking: this model does not support thinking');
  const takesAdaptive = /claude-[a-z]+-(?:5|4-[6-9])(?!\d)/.test(model);
  const refusesBudget = /claude-[a-z]+-(?:5|4-[7-9])(?!\d)/.test(model);
  if (type === 'enabled' && refusesBudget) {
    problems.push('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"');
  }
  if (type === 'adaptive' && !takesAdaptive) problems.push('adaptive thinking is not supported on this model');
}

function readTurns(messages: unknown, problems: string[]): Turn[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    problems.push('messages: at least one message is required');
    return [];
  }
  const turns: Turn[] = [];
  messages.forEach((message: unknown, index) => {
    const at = `messages.${index}`;
    if (!isObject(message) || (message['role'] !== 'user' && message['role'] !== 'assistant')) {
      problems.push(`${at}.role: Input should be 'user' or 'assistant'`);
      return;
    }
    for (const key of Object.keys(message)) {
      if (key !== 'role' && key !== 'content') problems.push(`${at}.${key}: Extra inputs are not permitted`);
    }
    const role: Role = message['role'];
    const blocks = readContent(message['content'], role, at, problems);
    const last = turns.at(-1);
    if (last?.role === role) last.blocks.push(...blocks);
    else turns.push({ role, index, blocks });
  });
  return turns;
}

function readContent(content: unknown, role: Role, at: string, problems: string[]): Json[] {
  const blocks: unknown = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  if (!Array.isArray(blocks)) {
    problems.push(`${at}.content: Input should be a string or a list of blocks`);
    return [];
  }
  if (blocks.length === 0 || content === '') problems.push(`${at}: all messages must have non-empty content`);
  return blocks.flatMap((block: unknown, i): Json[] => {
    const where = `${at}.content.${i}`;
    if (!isObject(block)) {
      problems.push(`${where}: Input should be a valid dictionary`);
      return [];
    }
    if (!ALLOWED_IN[role].includes(String(block['type']))) {
      problems.push(`${where}: ${String(block['type'])} blocks are not permitted in ${role} messages`);
    }
    checkBlock(block, where, problems);
    return [block];
  });
}

function checkBlock(block: Json, at: string, problems: string[]): void {
  const type = String(block['type']);
  const allowed = BLOCK_KEYS[type];
  if (allowed) {
    for (const key of Object.keys(block)) {
      if (!allowed.includes(key)) problems.push(`${at}.${type}.${key}: Extra inputs are not permitted`);
    }
  }
  switch (type) {
    case 'text':
      if (typeof block['text'] !== 'string') problems.push(`${at}.text.text: Field required`);
      else if (block['text'].trim() === '')
        problems.push(`${at}: text content blocks must contain non-whitespace text`);
      return;
    case 'image':
      if (!isObject(block['source'])) problems.push(`${at}.image.source: Field required`);
      return;
    case 'thinking':
      if (typeof block['thinking'] !== 'string') problems.push(`${at}.thinking.thinking: Field required`);
      if (typeof block['signature'] !== 'string' || block['signature'] === '') {
        problems.push(`${at}.thinking.signature: Field required`);
      }
      return;
    case 'tool_use':
      if (typeof block['id'] !== 'string' || !TOOL_USE_ID.test(block['id']))
        problems.push(`${at}.tool_use.id: String should match a pattern`);
      if (typeof block['name'] !== 'string' || !TOOL_NAME.test(block['name']))
        problems.push(`${at}.tool_use.name: String should match pattern ${TOOL_NAME.source}`);
      if (!isObject(block['input'])) problems.push(`${at}.tool_use.input: Input should be a valid dictionary`);
      return;
    case 'tool_result':
      checkToolResult(block, at, problems);
      return;
    default: // other kinds are passed as they are
  }
}

/** Images anywhere in the messages, with their paths. */
function imagesOf(value: unknown, at: string): SentImage[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => imagesOf(item, `${at}.${index}`));
  if (!isObject(value)) return [];
  if (value['type'] === 'image') return isObject(value['source']) ? [{ at, source: value['source'] }] : [];
  const inside = value['type'] === 'tool_result' ? `${at}.tool_result.content` : `${at}.content`;
  return Array.isArray(value['content']) ? imagesOf(value['content'], inside) : [];
}

/** The API reads no half of a surrogate pair, in a key or a value, however it is escaped. */
function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (Array.isArray(value)) return value.every(isWellFormed);
  return !isObject(value) || Object.entries(value).every(([key, item]) => key.isWellFormed() && isWellFormed(item));
}

function checkToolResult(block: Json, at: string, problems: string[]): void {
  if (typeof block['tool_use_id'] !== 'string') problems.push(`${at}.tool_result.tool_use_id: Field required`);
  const content = block['content'];
  if (content === undefined || typeof content === 'string') return;
  if (!Array.isArray(content)) {
    problems.push(`${at}.tool_result.content: Input should be a string or a list of blocks`);
    return;
  }
  content.forEach((inner: unknown, i) => {
    if (!isObject(inner) || !['text', 'image', 'document', 'search_result'].includes(String(inner['type']))) {
      problems.push(`${at}.tool_result.content.${i}: Input should be a text or image block`);
      return;
    }
    checkBlock(inner, `${at}.tool_result.content.${i}`, problems);
    if (block['is_error'] === true && inner['type'] !== 'text') {
      problems.push(`${at}.tool_result: all content must be type "text" if "is_error" is true`);
    }
  });
}

function checkOrder(turns: Turn[], problems: string[]): void {
  const first = turns[0];
  if (first && first.role !== 'user') problems.push('messages: first message must use the "user" role');
  const last = turns.at(-1);
  if (last && last.role !== 'user') problems.push('messages: the conversation must end with a user message');
}

function checkToolPairs(turns: Turn[], problems: string[]): void {
  const seen = new Set<string>();
  turns.forEach((turn, i) => {
    if (turn.role === 'assistant') {
      const ids = idsOf(turn, 'tool_use', 'id');
      for (const id of ids) {
        if (seen.has(id)) problems.push(`messages.${turn.index}: tool_use ids must be unique: ${id}`);
        seen.add(id);
      }
      const next = turns[i + 1];
      const results = new Set(next ? idsOf(next, 'tool_result', 'tool_use_id') : []);
      const missing = ids.filter((id) => !results.has(id));
      if (missing.length > 0) {
        problems.push(
          `messages.${turn.index}: tool_use ids were found without tool_result blocks immediately after: ${missing.join(', ')}`,
        );
      }
      return;
    }
    const before = turns[i - 1];
    const asked = new Set(before ? idsOf(before, 'tool_use', 'id') : []);
    const answered = new Set<string>();
    for (const id of idsOf(turn, 'tool_result', 'tool_use_id')) {
      if (!asked.has(id))
        problems.push(`messages.${turn.index}: unexpected tool_use_id found in tool_result blocks: ${id}`);
      if (answered.has(id)) problems.push(`messages.${turn.index}: each tool_use must have a single result: ${id}`);
      answered.add(id);
    }
    const firstOther = turn.blocks.findIndex((block) => block['type'] !== 'tool_result');
    const lastResult = turn.blocks.findLastIndex((block) => block['type'] === 'tool_result');
    if (firstOther !== -1 && lastResult > firstOther) {
      problems.push(`messages.${turn.index}: tool_result blocks must come first in the message`);
    }
  });
}

/** The assistant turn that tool results continue: with a thinking budget it opens with its thinking. */
function checkContinuedTurn(turns: Turn[], thinking: unknown, problems: string[]): void {
  if (!isObject(thinking) || thinking['type'] !== 'enabled') return;
  const last = turns.at(-1);
  const continued = turns.at(-2);
  if (!last || !continued || !last.blocks.some((block) => block['type'] === 'tool_result')) return;
  const type = continued.blocks[0]?.['type'];
  if (type !== 'thinking' && type !== 'redacted_thinking') {
    problems.push(
      `messages.${continued.index}: Expected \`thinking\` or \`redacted_thinking\`, but found \`${String(type)}\`. ` +
        'When `thinking` is enabled, a final `assistant` message must start with a thinking block',
    );
  }
}

function idsOf(turn: Turn, type: string, key: string): string[] {
  return turn.blocks.filter((block) => block['type'] === type).map((block) => String(block[key]));
}

/** Breakpoints anywhere: top level, tools, system, messages, and the content of tool results. */
function countBreakpoints(body: Json): number {
  let count = isObject(body['cache_control']) ? 1 : 0;
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value as unknown[]) visit(item);
    else if (isObject(value)) {
      if (isObject(value['cache_control'])) count++;
      if (Array.isArray(value['content'])) visit(value['content']);
    }
  };
  visit(body['tools']);
  visit(body['system']);
  visit(body['messages']);
  return count;
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
