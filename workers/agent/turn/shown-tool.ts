/** A tool as an approval shows it, and what the user allowed of it before. Pure; agent threads. */
import { cutText } from '../../../src/shared/cut-text.js';
import type { PinDifference, ShownTool, ToolHints } from '../../../src/shared/protocol.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import { changedParts, definitionHash, partHashes } from '../../../src/shared/definition-hash.js';
import type { KnownTool } from '../mcp/catalogue/tool-names.js';

/** Longest description that an approval shows. It is in the session's row while the call waits. */
const MAX_DESCRIPTION = 2_048;
/** Tools of a session whose definition at the last yes is remembered. */
const MAX_REMEMBERED = 40;

/** `before`: the parts that the user saw last; undefined when they have not seen the tool yet. */
export function shownTool(definition: ToolDefinition, before: string | undefined, pin?: PinDifference): ShownTool {
  const { title, description } = definition;
  const hints = hintsOf(definition);
  const changed = before === undefined ? [] : changedParts(before, partHashes(definition));
  return {
    ...(title === undefined ? {} : { title }),
    description: description.length > MAX_DESCRIPTION ? `${cutText(description, MAX_DESCRIPTION)}…` : description,
    ...(Object.keys(hints).length > 0 ? { hints } : {}),
    definition: definitionHash(definition),
    ...(changed.length > 0 ? { changed } : {}),
    ...(pin ? { pin: { state: pin.state, parts: pin.parts } } : {}),
  };
}

/** The parts of the tool's definition at the user's last yes. */
export function lastAllowed(remembered: readonly string[] | undefined, tool: KnownTool): string | undefined {
  const prefix = prefixOf(tool);
  return remembered?.find((entry) => entry.startsWith(prefix))?.slice(prefix.length);
}

/** The user has allowed the tool as it is now. */
export function withAllowed(remembered: readonly string[] | undefined, tool: KnownTool): string[] {
  const prefix = prefixOf(tool);
  const others = (remembered ?? []).filter((entry) => !entry.startsWith(prefix));
  return [...others, prefix + partHashes(tool.definition)].slice(-MAX_REMEMBERED);
}

function prefixOf({ server, definition }: KnownTool): string {
  return `${server}/${definition.name}#`;
}

function hintsOf({ annotations = {}, readOnly, destructive }: ToolDefinition): ToolHints {
  const hints: Record<string, unknown> = {
    readOnly: annotations['readOnlyHint'] ?? readOnly,
    destructive: annotations['destructiveHint'] ?? destructive,
    idempotent: annotations['idempotentHint'],
    openWorld: annotations['openWorldHint'],
  };
  return Object.fromEntries(Object.entries(hints).filter(([, value]) => typeof value === 'boolean'));
}
