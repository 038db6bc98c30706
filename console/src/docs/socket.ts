/** The WebSocket interface: what a client sends, and what it is sent. */
import { el, entry, words } from './elements.js';
import type { Section } from './main.js';
import { schemaList, type Schema } from './schema.js';

interface Message {
  name: string;
  summary: string;
  payload: Schema;
}

interface Refs {
  messages: { $ref: string }[];
}

export interface AsyncApi {
  info: { description: string };
  operations: { hear: Refs; tell: Refs };
  components: { messages: Record<string, Message> };
}

export function socketSections({ info, operations, components }: AsyncApi): Section[] {
  const itemsOf = ({ messages }: Refs): HTMLElement[] =>
    messages.flatMap(({ $ref }) => {
      const message = components.messages[$ref.split('/').at(-1)!];
      return message ? [itemOf(message)] : [];
    });
  return [
    { id: 'frames', title: 'WebSocket: what a client sends', words: info.description, items: itemsOf(operations.hear) },
    {
      id: 'events',
      title: 'WebSocket: what the server sends',
      words: 'Events with a seq are durable, the others are not stored.',
      items: itemsOf(operations.tell),
    },
  ];
}

function itemOf({ name, summary, payload }: Message): HTMLElement {
  return entry([el('code', {}, [name]), ' ', el('span', { class: 'docs-summary' }, words(summary))], () => [
    schemaList(payload, () => ({})),
  ]);
}
