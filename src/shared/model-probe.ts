/** Asks once whether the model's API is there and takes the key. Main thread and command line. */

export type ModelAnswer =
  /** Any answer but a refusal of the key: a gateway need not know the path that is asked for. */
  | { state: 'answers'; status: number }
  | { state: 'refuses-key'; status: number }
  /** Nobody answers, or a gateway says that nobody is behind it. */
  | { state: 'away'; why: string };

/** What a proxy answers for a server that it cannot reach. */
const NOBODY_BEHIND = new Set([502, 503, 504]);
const TIMEOUT_MS = 5_000;

export function modelAddress({ baseUrl }: { baseUrl: string }): string {
  return (baseUrl || 'https://api.anthropic.com').replace(/\/+$/, '');
}

/** Never rejects. */
export async function probeModel(
  anthropic: { apiKey: string; baseUrl: string },
  signal: AbortSignal,
): Promise<ModelAnswer> {
  let status: number;
  try {
    const response = await fetch(`${modelAddress(anthropic)}/v1/models?limit=1`, {
      headers: { 'x-api-key': anthropic.apiKey, 'anthropic-version': '2023-06-01' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    status = response.status;
    await response.body?.cancel();
  } catch (error) {
    return {
      state: 'away',
      why: (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name,
    };
  }
  if (status === 401 || status === 403) return { state: 'refuses-key', status };
  if (NOBODY_BEHIND.has(status)) return { state: 'away', why: `it answers ${status}` };
  return { state: 'answers', status };
}
