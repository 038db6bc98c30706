/** Reads an answer's usage, whatever a gateway makes of it: a figure that is none never costs the answer. Pure; agent threads. */
import type { Usage } from '../../../src/shared/protocol.js';
import { isObject } from './clean-blocks.js';

/** More than any model reads or writes at once. A figure beyond it would poison every sum that it goes into. */
const MAX_TOKENS = 1e9;

const FIELDS = {
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  cacheReadTokens: 'cache_read_input_tokens',
  cacheWriteTokens: 'cache_creation_input_tokens',
} as const satisfies Record<keyof Usage, string>;

/** The API's figures are cumulative, so the last one of each counts. */
export function countUsage(usage: Usage, said: unknown): void {
  if (!isObject(said)) return;
  for (const [name, field] of Object.entries(FIELDS) as [keyof Usage, string][]) {
    usage[name] = toTokens(said[field]) ?? usage[name];
  }
}

function toTokens(value: unknown): number | undefined {
  const figure = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof figure !== 'number' || !(figure >= 0 && figure <= MAX_TOKENS)) return undefined;
  return Math.round(figure);
}
