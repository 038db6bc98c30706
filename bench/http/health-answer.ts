/** The answer of /healthz. All servers must send it byte for byte, except for headers of their own; the bench checks that first. */

export const HEALTH_PATH = '/healthz';
export const HEALTH_BODY = JSON.stringify({ status: 'ok' });

/** In the order in which Fairlead writes them. */
export const HEALTH_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['Content-Type', 'application/json'],
  ['Cache-Control', 'no-store'],
  ['X-Content-Type-Options', 'nosniff'],
];

/** Rejects when a server answers something else. */
export async function checkHealth(url: string): Promise<void> {
  const answer = await fetch(`${url}${HEALTH_PATH}`);
  const body = await answer.text();
  const told = JSON.stringify([answer.status, body, ...HEALTH_HEADERS.map(([name]) => answer.headers.get(name))]);
  const wanted = JSON.stringify([200, HEALTH_BODY, ...HEALTH_HEADERS.map(([, value]) => value)]);
  if (told !== wanted) throw new Error(`${url}${HEALTH_PATH} answers ${told}, not ${wanted}`);
}
