/** The limits of the model's API, as the headers of an answer say them. Pure; main thread and agent threads. */

/** What the API lets the key use up, as an answer's headers say it. */
export interface RateLimit {
  kind: 'requests' | 'tokens' | 'input-tokens' | 'output-tokens';
  limit?: number;
  remaining: number;
  /** Until all of it is there again. */
  resetMs: number;
}

const KINDS = ['requests', 'tokens', 'input-tokens', 'output-tokens'] as const;
/** Less than this share of a limit is little; so is less than the number, where the limit is not told. */
const LITTLE = 0.1;
const LITTLE_OF = { requests: 10, tokens: 20_000, 'input-tokens': 20_000, 'output-tokens': 5_000 };

/** `now` is the time of day in ms. A limit without its remainder is left out. */
export function readRateLimits(headers: Pick<Headers, 'get'>, now: number): RateLimit[] {
  return KINDS.flatMap((kind) => {
    const field = (name: string): string | null => headers.get(`anthropic-ratelimit-${kind}-${name}`);
    const remaining = count(field('remaining'));
    if (remaining === undefined) return [];
    const limit = count(field('limit'));
    const resetMs = Math.max(0, Date.parse(field('reset') ?? '') - now) || 0;
    return [{ kind, remaining, resetMs, ...(limit === undefined ? {} : { limit }) }];
  });
}

export function isLow({ kind, limit, remaining, resetMs }: RateLimit): boolean {
  return resetMs > 0 && remaining < (limit === undefined ? LITTLE_OF[kind] : limit * LITTLE);
}

function count(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}
