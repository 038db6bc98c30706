/** Hashes of a tool's definition: an approval is bound to the whole, and the parts tell what has changed. Pure; every thread. */
import { createHash } from 'node:crypto';
import { DEFINITION_PARTS, type DefinitionPart } from './protocol.js';
import type { ToolDefinition } from './tool-definition.js';

const HASH_CHARS = 16;
/** Hashes are dropped with their definitions, which the catalogue replaces. */
const known = new WeakMap<ToolDefinition, string>();
const knownParts = new WeakMap<ToolDefinition, string>();

/** Covers all that the model or the user decides by; the order of keys does not matter. */
export function definitionHash(definition: ToolDefinition): string {
  let hash = known.get(definition);
  if (hash === undefined) {
    const { name, title, description, inputSchema, outputSchema, readOnly, destructive, annotations } = definition;
    hash = hashOf([name, title, description, inputSchema, outputSchema, readOnly, destructive, annotations]);
    known.set(definition, hash);
  }
  return hash;
}

/** A hash of each part, in the order of `DEFINITION_PARTS`, to be compared by `changedParts`. */
export function partHashes(definition: ToolDefinition): string {
  const before = knownParts.get(definition);
  if (before !== undefined) return before;
  const { title, description, inputSchema, outputSchema, readOnly, destructive, annotations } = definition;
  const parts = [[title, description], [readOnly, destructive, annotations], inputSchema, outputSchema];
  const hashes = parts.map((part) => hashOf([part])).join('.');
  knownParts.set(definition, hashes);
  return hashes;
}

export function changedParts(before: string, now: string): DefinitionPart[] {
  const [was, is] = [before.split('.'), now.split('.')];
  return DEFINITION_PARTS.filter((_part, index) => was[index] !== is[index]);
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

function hashOf(told: readonly unknown[]): string {
  return createHash('sha256').update(stableJson(told)).digest('base64url').slice(0, HASH_CHARS);
}
