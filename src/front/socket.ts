/** What the front needs of a WebSocket: uWebSockets' own fits as it is, another library would come with an adapter. Main thread; types only. */

export interface Socket {
  /** 1 sent, 0 buffered, 2 dropped: the limit of unsent bytes is passed and the frame is lost. */
  send(text: string): number;
  /** Bytes that wait in this process because the reader is slow. */
  getBufferedAmount(): number;
  /** Close frame, then the end. The close handler has run when it returns. */
  end(code: number, reason: string): void;
  /** Cuts without a close frame, and frees what is unsent. Not inside `cork`. */
  close(): void;
  /** What is sent inside leaves as one write. */
  cork(write: () => void): unknown;
}

/** `Socket.send` answers this when the frame was dropped. */
export const DROPPED = 2;

/** Above this many unsent bytes a subscriber gets no streaming events; it catches up when it has read. */
export const STREAMING_PAUSE_BYTES = 64 * 1024;
