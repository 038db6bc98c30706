/** What a session gives its reader: the server's events, and the state of the connection. Types only. */
import type { ServerEvent } from '../shared/protocol.js';
import type { ClientError } from './client-error.js';

export interface Reconnecting {
  /** `offline`: the browser says that there is no network. It is tried all the same. */
  type: 'connection:reconnecting' | 'connection:offline';
  /** In words. */
  why: string;
  /** The close code; 0 where no socket was made. */
  code: number;
  /** The next attempt: ms from now, and ms since the epoch. */
  delayMs: number;
  at: number;
  /** What was thrown, if anything. */
  cause?: unknown;
}

/** Not of the server: how the connection is. */
export type ConnectionEvent =
  | { type: 'connection:live' }
  | Reconnecting
  /** The reader is too slow for its queue. The client comes back once half of that is read; nothing is lost. */
  | { type: 'connection:paused' }
  /** The last event. Without `error` it was closed here. */
  | { type: 'connection:closed'; why: string; error?: ClientError };

export type SessionEvent = ServerEvent | ConnectionEvent;

export type ConnectionState = 'connecting' | 'live' | 'reconnecting' | 'offline' | 'paused' | 'closed';
