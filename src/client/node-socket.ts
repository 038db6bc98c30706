/** The WebSocket of `ws` as the client uses it in Node, whose version 20 has none of its own. */
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';

const HANDSHAKE_MS = 10_000;
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
const BEARER = 'bearer.';

/** The upgrade was answered by something else, such as 403. */
export class UpgradeRefused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the upgrade was answered with ${status}`);
    this.status = status;
  }
}

/** Sends the token as a header, which takes every token; a subprotocol takes fewer characters. */
export class NodeSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    const bearer = protocols.find((each) => each.startsWith(BEARER));
    super(
      url,
      protocols.filter((each) => each !== bearer),
      {
        headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer.slice(BEARER.length)}` },
        handshakeTimeout: HANDSHAKE_MS,
        maxPayload: MAX_FRAME_BYTES,
        perMessageDeflate: false,
      },
    );
    this.on('unexpected-response', (_request: unknown, response: IncomingMessage) => {
      this.emit('error', new UpgradeRefused(response.statusCode ?? 0));
      // With this listener ws leaves the request to us; terminate() brings the close event.
      this.terminate();
    });
  }
}
