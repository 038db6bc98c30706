/** The socket of a chatty user: it goes to whichever server the user is at, and may be left behind without a word. Runs in tests. */
import { NodeSocket } from '../../../src/client/node-socket.js';
import type { SocketConstructor } from '../../../src/client/socket.js';

export interface UserSocket {
  /** The client's own wish to end it is not heard: its server is told nothing. */
  isLeft: boolean;
  pause(): void;
  resume(): void;
  terminate(): void;
  /** Also what was left. */
  cut(): void;
}

/** `open` holds those that are open; `address` is asked for every attempt, since servers get new ports and users move. */
export function socketsOf(open: Set<UserSocket>, address: () => string): SocketConstructor {
  return class extends NodeSocket implements UserSocket {
    isLeft = false;

    constructor(url: string, protocols: string[]) {
      const target = new URL(url);
      target.host = new URL(address()).host;
      super(target.href, protocols);
      this.once('open', () => open.add(this));
      this.once('close', () => open.delete(this));
    }

    override terminate(): void {
      if (!this.isLeft) super.terminate();
    }

    cut(): void {
      super.terminate();
    }
  };
}
