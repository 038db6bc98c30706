/** What a yes for the rest of a session is a yes to: a tool's definition, by its hash. Pure; agent threads. */
import { createHash } from 'node:crypto';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';

const HASH_CHARS = 16;
/** Definitions come and go with the catalogue, and take their hashes with them. */
const known = new WeakMap<ToolDefinition, string>();

/** Of all that the model or a person goes by; the order of keys changes nothing. */
export function definitionHash(definition: ToolDefinition): string {
  let hash = known.get(definition);
  if (hash === undefined) {
    const { name, title, description, inputSchema, outputSchema, readOnly, destructive, annotations } = definition;
    const told = [name, title, description, inputSchema, outputSchema, readOnly, destructive, annotations];
    hash = createHash('sha256').update(stableJson(told)).digest('base64url').slice(0, HASH_CHARS);
    known.set(definition, hash);
  }
  return hash;
}

export function stableJson(value: unknown): string {
  return (
    JSON.stringify(value, (_key, item: unknown) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
        : item,
    ) ?? ''
  );
}
