/** The stand-in model in a process of its own: the message says how many pieces an answer has, and how fast they come. */
import { lastText, startModelServer } from '../../test/helpers/model-server.js';

/** In the user's message: `stream DELTAS CHUNK GAP_MS`. */
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
