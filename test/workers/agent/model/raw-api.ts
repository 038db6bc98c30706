/** A Messages API that sends what no model says: written by hand, for the one test that needs it. Runs in tests. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

export interface RawApi {
  url: string;
  /** Connections accepted so far. */
  connections: () => number;
}

export async function startRawApi(t: Test, listener: RequestListener): Promise<RawApi> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => listener(request, response));
  });
  let connections = 0;
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections };
}

export const sse = (type: string, fields: Record<string, unknown> = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;

export const EVENT_STREAM = { 'content-type': 'text/event-stream' };

export const MESSAGE_START = sse('message_start', {
  message: { model: 'claude-sonnet-5-5', usage: { input_tokens: 1, output_tokens: 1 } },
});
