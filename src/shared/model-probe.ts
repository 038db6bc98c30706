/** Asks once whether the model's API is there and takes the key, in the way that messages go. Main thread and command line. */
import { modelAddress, modelHeaders, type ModelAccess } from './config-model.js';
import { proxyFor, type Proxies } from './proxies.js';
import { createProxyAgent, proxyRefusal, undici } from './proxy-agent.js';

export type ModelAnswer =
  /** Any answer but a refusal of the key: a gateway need not know the path that is asked for. */
  | { state: 'answers'; status: number }
  | { state: 'refuses-key'; status: number }
  /** Nobody answers, or a gateway says that nobody is behind it. */
  | { state: 'away'; why: string };

const TIMEOUT_MS = 5_000;
/** The SDK's, which the main thread does not load: a test compares them. */
const API_VERSION = '2026-10-21';

/** Never rejects. */
export async function probeModel(access: ModelAccess, proxies: Proxies, signal: AbortSignal): Promise<ModelAnswer> {
  const address = modelAddress(access);
  const proxy = proxyFor(new URL(address), proxies);
  const dispatcher = proxy === undefined ? undefined : createProxyAgent(proxy);
  const ask = async (path: string, body?: string): Promise<number> => {
    const answer = await undici().request(address + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'anthropic-version': API_VERSION, 'content-type': 'application/json', ...modelHeaders(access) },
      body: body ?? null,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      ...(dispatcher ? { dispatcher } : {}),
    });
    await answer.body.dump();
    return answer.statusCode;
  };
  try {
    const first = judge(await ask('/v1/models?limit=1'));
    // A gateway may have no such route, or keep it from this key. No API answers a message without words.
    return first.state === 'answers' ? first : judge(await ask('/v1/messages', '{}'));
  } catch (error) {
    return { state: 'away', why: (proxy !== undefined && proxyRefusal(error, proxy)) || codeOf(error) };
  } finally {
    void dispatcher?.destroy();
  }
}

function judge(status: number): ModelAnswer {
  if (status === 401 || status === 403) return { state: 'refuses-key', status };
  // What a proxy answers for a server that it cannot reach.
  if (status === 502 || status === 503 || status === 504) return { state: 'away', why: `it answers ${status}` };
  // Redirects are not followed, since the key is for the configured address alone.
  if (status >= 300 && status <= 399) return { state: 'away', why: `it redirects, status ${status}` };
  return { state: 'answers', status };
}

function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name: string };
  return typeof code === 'string' ? code : name;
}
