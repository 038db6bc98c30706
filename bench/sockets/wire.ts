/** The frames of this bench, in each server's protocol. */

/** The cheapest client frame that Fairlead's front answers itself; the others echo it. */
export const PING = JSON.stringify({ type: 'ping', id: '1' });

/** A bare server's first frame, as long as Fairlead's `session:ready`. */
export const HELLO = JSON.stringify({ type: 'session:ready', fill: 'x'.repeat(150) });

export const DELTA_MARK = '{"type":"text:delta"';
export const END_MARK = '{"type":"turn:end"';
export const CLEARED_MARK = '{"type":"history:cleared"';

/** One delta as Fairlead sends it. */
export function delta(offset: number): string {
  return JSON.stringify({ type: 'text:delta', turn: 1, block: 0, offset, text: 'token ' });
}

export const END = JSON.stringify({ type: 'turn:end' });

/** Makes an echo server send that many deltas to all of its sockets, and then the end. */
export const FAN = /^fan (\d+)$/;
export const fan = (deltas: number): string => `fan ${deltas}`;

export const ECHO_KINDS = ['uws', 'uws-json', 'ws', 'socket.io'] as const;
export type EchoKind = (typeof ECHO_KINDS)[number];
export type Kind = EchoKind | 'fairlead';

export const NAMES: Record<Kind, string> = {
  uws: 'bare uWebSockets.js',
  'uws-json': 'bare uWebSockets.js, frames as JSON',
  fairlead: 'Fairlead',
  ws: 'ws',
  'socket.io': 'socket.io',
};
