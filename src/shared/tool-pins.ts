/** Pinned tool definitions: hashes that an operator has looked at, and what differs from them now. Pure; every thread. */
import { changedParts, partHashes } from './definition-hash.js';
import type { PinDifference } from './protocol.js';
import type { ToolDefinition } from './tool-definition.js';

/** Tool → the hashes of its parts. */
export type ToolPins = Readonly<Record<string, string>>;

/** By server. A server that is not in it is not pinned; one with no tools is, and all of its tools are new. */
export type Pins = Readonly<Record<string, ToolPins>>;

export const PIN = /^[\w-]{16}(?:\.[\w-]{16}){3}$/;

export function pinsOf(definitions: readonly ToolDefinition[]): ToolPins {
  return Object.fromEntries(definitions.map((definition) => [definition.name, partHashes(definition)]));
}

/** Undefined for a tool that is as it was pinned, and for one of a server that is not pinned. */
export function pinDifference(pins: Pins, server: string, definition: ToolDefinition): PinDifference | undefined {
  const pinned = Object.hasOwn(pins, server) ? pins[server] : undefined;
  if (!pinned) return undefined;
  if (!Object.hasOwn(pinned, definition.name)) return { state: 'new', parts: [] };
  const parts = changedParts(pinned[definition.name]!, partHashes(definition));
  return parts.length > 0 ? { state: 'changed', parts } : undefined;
}

export function differenceText({ state, parts }: PinDifference): string {
  if (state === 'new') return 'it is new since its server was pinned';
  return `it has changed since its server was pinned (${parts.join(', ')})`;
}
