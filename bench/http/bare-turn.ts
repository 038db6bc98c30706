/** The demo model behind a bare uWebSockets route: no session, store, thread or log between the two. Runs in bare-uws-main. */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { createDemoModel } from '../../workers/agent/model/demo.js';
import type { ModelRequest } from '../../workers/agent/model/model.js';
import { TURN_TEXT } from './turn-text.js';

const model = createDemoModel();
const request: ModelRequest = {
  model: 'demo',
  system: '',
  messages: [{ role: 'user', content: [{ type: 'text', text: TURN_TEXT }] }],
  tools: [],
  maxTokens: 8192,
};

/** SSE gets the words as they come, JSON all of them at the end, as Fairlead does it. */
export async function answerTurn(res: HttpResponse, req: HttpRequest): Promise<void> {
  const asStream = req.getHeader('accept').includes('text/event-stream');
  const gone = new AbortController();
  res.onAborted(() => gone.abort());
  const send = (write: () => void): void => {
    if (!gone.signal.aborted) res.cork(write);
  };
  // The body is not read: the words do not depend on it.
  await new Promise<void>((resolve) => {
    res.onData((_chunk, isLast) => {
      if (isLast) resolve();
    });
  });
  if (asStream) send(() => res.writeHeader('Content-Type', 'text/event-stream; charset=utf-8'));
  try {
    for await (const event of model.stream(request, gone.signal)) {
      if (event.type === 'done') {
        const json = JSON.stringify({ type: 'turn:end', ...event.answer });
        if (asStream) send(() => res.end(toSse('turn:end', json)));
        else send(() => res.writeHeader('Content-Type', 'application/json').end(json));
      } else if (asStream) {
        send(() => res.write(toSse('text:delta', JSON.stringify({ ...event, type: 'text:delta' }))));
      }
    }
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  }
}

function toSse(type: string, json: string): string {
  return `event: ${type}\ndata: ${json}\n\n`;
}
