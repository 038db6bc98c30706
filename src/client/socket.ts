/** What the client needs of a WebSocket. A browser's has it, and so has that of `ws`. */

export interface SocketLike {
  readonly readyState: number;
  send(text: string): void;
  close(code?: number): void;
  /** Cuts the connection at once; browsers have no such thing. */
  terminate?(): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

export const OPEN = 1;
export const CLOSED_STATE = 3;

/** What the socket's error says, where it says anything: browsers tell pages nothing. */
export interface SocketError {
  message?: string;
  error?: unknown;
}

export function abandon(socket: SocketLike): void {
  if (socket.terminate) socket.terminate();
  else socket.close();
}
