/** Makes tool definitions that the Messages API accepts, whatever is given. Pure; agent threads. */
import type { Tool } from '@anthropic-ai/sdk/resources/messages';
import { to2020 } from '../schema/to-2020.js';
import { isObject, toolName } from './clean-blocks.js';
import type { ModelTool } from './model.js';
import { wellFormed } from './well-formed.js';
import { hashOf, type Withheld } from './withheld.js';

const PROPERTY_NAME = /^[a-zA-Z0-9_.-]{1,64}$/;
const MAX_NAMED_ARGUMENTS = 30;
/**
 * Entries of what is withheld, for the whole list of tools: a list that changes gets another chance. Without any tool is one turn
 * alone: something else may have been at fault, and the next turn must not go without.
 */
const OPEN_ALL = 'tools:';
const NO_TOOLS = 'no-tools:';

export interface SentTools {
  tools: Tool[];
  /** For the model: tools that are missing, since the API refused them. '' when there are none. */
  note: string;
}

/** `turn`: the key of the newest turn, which is asked for only when an earlier request went without tools. */
export function toTools(given: readonly ModelTool[], withheld: Withheld, turn: () => string): SentTools {
  const tools = known(given);
  if (withheld.isEmpty || tools.length === 0) return { tools, note: '' };
  const { open, none } = entriesForAll(given);
  if (withheld.hasPrefix(none('')) && withheld.has(none(turn()))) return { tools: [], note: noteOf(['all']) };
  const kept = tools.map((tool) => (withheld.has(open) || withheld.has(hashOf(tool)) ? openTool(tool) : tool));
  const dropped = kept.filter((tool) => withheld.has(hashOf(tool))).map(({ name }) => name);
  return {
    tools: kept.filter(({ name }) => !dropped.includes(name)),
    note: dropped.length > 0 ? noteOf(dropped) : '',
  };
}

/** The entries of `Withheld` that give all of these tools open schemas, or leave them out for a turn. */
export function entriesForAll(given: readonly ModelTool[]): { open: string; none: (turn: string) => string } {
  const list = hashOf(known(given));
  return { open: OPEN_ALL + list, none: (turn) => `${NO_TOOLS}${list}:${turn}` };
}

/** Of two tools with one name the first counts: the API refuses the whole request for the second. */
function known(given: readonly ModelTool[]): Tool[] {
  const byName = new Map<string, Tool>();
  for (const tool of given) {
    const made = toTool(tool);
    if (!byName.has(made.name)) byName.set(made.name, made);
  }
  return [...byName.values()];
}

const made = new WeakMap<ModelTool, Tool>();

/**
 * The catalogue has converted the schema with more care; whatever comes from elsewhere loses what the API refuses. The check of
 * the arguments still uses the server's own.
 */
function toTool(tool: ModelTool): Tool {
  let sent = made.get(tool);
  if (!sent) {
    const { oneOf: _oneOf, allOf: _allOf, anyOf: _anyOf, ...rest } = to2020(tool.inputSchema);
    const { description } = tool;
    sent = wellFormed({
      name: toolName(tool.name),
      ...(description === '' ? {} : { description }),
      input_schema: { ...withGoodNames(rest), type: 'object' as const },
    });
    made.set(tool, sent);
  }
  return sent;
}

function withGoodNames(schema: Record<string, unknown>): Record<string, unknown> {
  const { properties } = schema;
  if (!isObject(properties)) return schema;
  const good = Object.entries(properties).filter(([name]) => PROPERTY_NAME.test(name));
  return { ...schema, properties: Object.fromEntries(good) };
}

/** The tool without its schema: names of arguments alone, which no schema can spoil. */
function openTool({ name, input_schema: { properties } }: Tool): Tool {
  const names = isObject(properties) ? Object.keys(properties).slice(0, MAX_NAMED_ARGUMENTS) : [];
  const told = names.length > 0 ? ` Its arguments: ${names.join(', ')}.` : '';
  return {
    name,
    description: `The model’s API refused this tool’s definition, so it is not described.${told}`,
    input_schema: { type: 'object' },
  };
}

function noteOf(names: readonly string[]): string {
  return `The model’s API refused the definitions of these tools, so they cannot be used now: ${names.join(', ')}.`;
}
