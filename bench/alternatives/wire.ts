/** How a person speaks with each server. Fairlead has its own protocol; the others have the least that does the same. */
import type { ServerEvent } from '../../src/shared/protocol.js';
import type { WayName } from './messages.js';

/** A message from a compared server. */
export type Said = { type: 'ready' } | { type: 'delta'; text: string } | { type: 'end'; text: string; error?: string };

/** A message to a compared server. */
export interface Message {
  type: 'message';
  text: string;
}

export const EVENT = 'said';
export const MESSAGE = 'message';

export type Heard =
  /** `session`: to be deleted when the person has gone. */
  | { type: 'ready'; session?: string }
  | { type: 'delta' }
  | { type: 'end'; text: string; error?: string }
  /** The transport's own, to be answered at once. */
  | { type: 'answer'; frame: string };

export interface Wire {
  url: (base: string) => string;
  say: (text: string) => string;
  /** One frame; undefined where it is of no interest. A reader keeps what it needs between frames. */
  reader: () => (frame: string) => Heard | undefined;
}

const DELTA = '{"type":"text:delta"';

export const WIRES: Record<WayName, Wire> = {
  fairlead: {
    url: (base) => base,
    say: (text) => JSON.stringify({ type: 'message', text }),
    reader: () => {
      let lastText = '';
      return (frame) => {
        // Nearly all frames are deltas, and parsing them would be a person's largest cost.
        if (frame.startsWith(DELTA)) return { type: 'delta' };
        const event = JSON.parse(frame) as ServerEvent;
        switch (event.type) {
          case 'session:ready':
            return { type: 'ready', session: event.session };
          case 'text':
            lastText = event.text;
            return undefined;
          case 'error':
            return { type: 'end', text: lastText, error: `${event.code}: ${event.message}` };
          case 'tool:approval_required':
            return { type: 'end', text: lastText, error: 'a yes is needed' };
          case 'tool:result':
            return event.ok ? undefined : { type: 'end', text: lastText, error: JSON.stringify(event.content) };
          case 'turn:end':
            return event.stopReason === 'end_turn'
              ? { type: 'end', text: lastText }
              : { type: 'end', text: lastText, error: `the turn ended with ${event.stopReason}` };
          default:
            return undefined;
        }
      };
    },
  },
  'agent-sdk': {
    url: (base) => base,
    say: (text) => JSON.stringify({ type: 'message', text } satisfies Message),
    reader: () => (frame) => heard(JSON.parse(frame) as Said),
  },
  'socket.io': {
    url: (base) => `${base}/socket.io/?EIO=4&transport=websocket`,
    say: (text) => `42${JSON.stringify([MESSAGE, text])}`,
    reader: () => (frame) => {
      // Engine.IO: 0 is its open packet, 2 a ping; 40 joins the namespace and confirms it, 42 is an event.
      if (frame.startsWith('0')) return { type: 'answer', frame: '40' };
      if (frame === '2') return { type: 'answer', frame: '3' };
      if (!frame.startsWith('42')) return undefined;
      return heard((JSON.parse(frame.slice(2)) as [string, Said])[1]);
    },
  },
};

function heard(said: Said): Heard {
  return said.type === 'delta' ? { type: 'delta' } : said;
}
