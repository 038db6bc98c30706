/** The alternative to an attached session: a bare uWebSockets.js server in a process of its own. Prints its URL. */
import uws from 'uWebSockets.js';

const HOST = '127.0.0.1';

uws
  .App()
  .ws<Record<string, never>>('/*', {
    // As in the front.
    idleTimeout: 960,
    sendPingsAutomatically: true,
    maxPayloadLength: 1_048_576,
    maxBackpressure: 4_194_304,
    open: (ws) => void ws.send('{"type":"session:ready"}'),
  })
  .listen(HOST, 0, (token) => {
    if (token === false) throw new Error('it cannot listen');
    const url = `ws://${HOST}:${uws.us_socket_local_port(token)}`;
    process.stdout.write(`${JSON.stringify({ msg: 'listening', url })}\n`);
  });
