/** Sums of token usage. Pure; agent threads. */
import type { Usage } from '../../../src/shared/protocol.js';

export const NO_USAGE: Readonly<Usage> = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

export function addUsage(sum: Readonly<Usage>, more: Readonly<Usage>): Usage {
  return {
    inputTokens: sum.inputTokens + more.inputTokens,
    outputTokens: sum.outputTokens + more.outputTokens,
    cacheReadTokens: sum.cacheReadTokens + more.cacheReadTokens,
    cacheWriteTokens: sum.cacheWriteTokens + more.cacheWriteTokens,
  };
}
