/** The hash of a tool's definition, which an approval for the rest of a session is bound to. Pure; agent threads. */
import { createHash } from 'node:crypto';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';

const HASH_CHARS = 16;
/** Hashes are dropped with their definitions, which the catalogue replaces. */
const known = new WeakMap<ToolDefinition, string>();

/** Covers all that the model or the user decides by; the order of keys does not matter. */
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
