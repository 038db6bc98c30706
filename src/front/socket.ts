/** What the front needs of a WebSocket. uWebSockets' socket has it; another library would need an adapter. Main thread. */

export interface Socket {
  /** 1: sent. 0: buffered. 2: dropped, since the limit of unsent bytes is exceeded. */
  send(text: string): number;
  /** Bytes that wait in this process for a slow reader. */
  getBufferedAmount(): number;
  /** Sends a close frame and ends. The close handler has run when it returns. */
  end(code: number, reason: string): void;
  /** Cuts the connection without a close frame and frees the unsent bytes. Not inside `cork`. */
  close(): void;
  /** Everything sent inside `write` leaves in one write. */
  cork(write: () => void): unknown;
}

/** The answer of `Socket.send` for a dropped frame. */
export const DROPPED = 2;

/** A reader with more unsent bytes gets no streaming events; it catches up once it has read. */
export const STREAMING_PAUSE_BYTES = 64 * 1024;
