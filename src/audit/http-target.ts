/** Posts entries of the audit log as JSON lines. Main thread. */
import { undici } from '../shared/proxy-agent.js';
import type { FollowedEntry } from './follower.js';
import type { SinkTarget } from './sink.js';

const TIMEOUT_MS = 10_000;

export function httpTarget({ url, authorization }: { url: string; authorization: string }): SinkTarget {
  return {
    async send(entries: readonly FollowedEntry[], signal: AbortSignal): Promise<void> {
      // Redirects are not followed, since the credentials are for the configured address alone.
      const { statusCode, body } = await undici().request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson', ...(authorization !== '' && { authorization }) },
        body: entries.map(({ text }) => `${text}\n`).join(''),
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await body.dump();
      if (statusCode < 200 || statusCode > 299) throw new Error(`it answers ${statusCode}`);
    },
    close: () => undefined,
  };
}
