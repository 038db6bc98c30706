/** The scrape token of servers that tests and benches start. */
import { createHash } from 'node:crypto';

const TOKEN = 'scrape-token-of-the-tests';

/** Part of the configuration. */
export const METRICS = { tokenSha256: createHash('sha256').update(TOKEN).digest('hex') };

export const SCRAPE_HEADERS = { authorization: `Bearer ${TOKEN}` };

/** Prometheus' text. Rejects unless the status is 200. */
export async function fetchMetrics(url: string, signal?: AbortSignal): Promise<string> {
  const answer = await fetch(`${url}/metrics`, { headers: SCRAPE_HEADERS, ...(signal && { signal }) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`/metrics was answered with ${answer.status}: ${text}`);
  return text;
}
