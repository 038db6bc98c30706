/** The alternative: uWebSockets with the bytes of /healthz and the demo model, and nothing else. A process of its own. */
import uws from 'uWebSockets.js';
import { answerTurn } from './bare-turn.js';
import { liveWithParent, tell } from './child-life.js';
import { HEALTH_BODY, HEALTH_HEADERS, HEALTH_PATH } from './health-answer.js';
import type { Listening } from './messages.js';
import { BARE_TURN_PATH } from './turn-text.js';

liveWithParent();
const app = uws.App();
app.get(HEALTH_PATH, (res) => {
  res.cork(() => {
    res.writeStatus('200 OK');
    for (const [name, value] of HEALTH_HEADERS) res.writeHeader(name, value);
    res.end(HEALTH_BODY);
  });
});
app.post(BARE_TURN_PATH, (res, req) => void answerTurn(res, req));
app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) throw new Error('uWebSockets has no port to listen on');
  tell({ url: `http://127.0.0.1:${uws.us_socket_local_port(socket)}` } satisfies Listening);
});
