/** Sums of token usage. Pure; agent threads. */
import type { Usage } from '../../../src/shared/protocol.js';

export const NO_USAGE: Readonly<Usage> = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

/** What has been spent with this call, where a price is known. Spread into a turn's progress. */
export function plusNanos(
  before: { nanos?: number | undefined } | undefined,
  more: { nanos?: number | undefined } | undefined,
): { nanos?: number } {
  if (before?.nanos === undefined && more?.nanos === undefined) return {};
  return { nanos: (before?.nanos ?? 0) + (more?.nanos ?? 0) };
}

export function addUsage(sum: Readonly<Usage>, more: Readonly<Usage>): Usage {
  return {
    inputTokens: sum.inputTokens + more.inputTokens,
    outputTokens: sum.outputTokens + more.outputTokens,
    cacheReadTokens: sum.cacheReadTokens + more.cacheReadTokens,
    cacheWriteTokens: sum.cacheWriteTokens + more.cacheWriteTokens,
  };
}
