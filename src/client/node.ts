/** `fairlead/client` for Node: the same with the WebSocket of `ws`. docs/client.md. */
import { Fairlead as AnyFairlead, type FairleadOptions } from './fairlead.js';
import { NodeSocket } from './node-socket.js';

export * from './index.js';

export class Fairlead extends AnyFairlead {
  constructor(options: FairleadOptions = {}) {
    super({ ...options, WebSocket: options.WebSocket ?? NodeSocket });
  }
}
