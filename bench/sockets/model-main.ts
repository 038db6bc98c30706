/** The stand-in model as its own process: every answer is as many pieces as the message wants, at the pace that it wants. */
import { lastText, startModelServer } from '../../test/helpers/model-server.js';

/** `stream DELTAS CHUNK GAP_MS` in the person's message: each turn says what it wants. */
const WISH = /stream (\d+) (\d+) (\d+)/;

const server = await startModelServer({
  keep: 0,
  script: ({ body }) => {
    const [, deltas, chunk, gapMs] = (WISH.exec(lastText(body)) ?? []).map(Number);
    if (deltas === undefined || chunk === undefined || gapMs === undefined) return { blocks: [{ text: 'Hello.' }] };
    const piece = 'token '.repeat(Math.ceil(chunk / 6)).slice(0, chunk);
    return { blocks: [{ text: piece.repeat(deltas) }], chunk, gapMs };
  },
});
console.log(JSON.stringify({ url: server.url }));
process.once('SIGTERM', () => {
  for (const violation of server.violations) console.error(violation);
  void server.close();
});
