/**
 * Reads server-sent events as servers do send them: any of the three line ends, at once; a last event without the empty line
 * after it; JSON without `data:`. Takes time in proportion to the text, in whatever pieces it comes. Pure; agent threads.
 */

export interface SseEvent {
  /** Each absent where the event has no such field. */
  data?: string;
  event?: string;
  id?: string;
  retry?: string;
}

const LINE_END = /\r\n|\n|\r/g;

export class SseEvents {
  readonly #onEvent: (event: SseEvent) => void;
  /** Of the line that has not ended. */
  #pieces: string[] = [];
  #data: string[] = [];
  #fields: Omit<SseEvent, 'data'> = {};
  /** The text before ended in a CR: an LF that follows belongs to it. */
  #afterCr = false;
  #isFirst = true;

  constructor(onEvent: (event: SseEvent) => void) {
    this.#onEvent = onEvent;
  }

  feed(text: string): void {
    if (text === '') return;
    let from = this.#afterCr && text.startsWith('\n') ? 1 : 0;
    this.#afterCr = text.endsWith('\r');
    LINE_END.lastIndex = from;
    for (let end = LINE_END.exec(text); end; end = LINE_END.exec(text)) {
      this.#line(text.slice(from, end.index));
      from = end.index + end[0].length;
    }
    if (from < text.length) this.#pieces.push(text.slice(from));
  }

  /** The stream has ended: what has come of an event is one. */
  end(): void {
    if (this.#pieces.length > 0) this.#line('');
    this.#dispatch();
  }

  #line(rest: string): void {
    let line = this.#pieces.length > 0 ? this.#pieces.join('') + rest : rest;
    this.#pieces = [];
    if (this.#isFirst && line.startsWith('\uFEFF')) line = line.slice(1);
    this.#isFirst = false;
    if (line === '') return this.#dispatch();
    if (line.startsWith('{')) {
      // A whole message, of a server that does not know how events are written.
      this.#dispatch();
      this.#data.push(line);
      return this.#dispatch();
    }
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'data') this.#data.push(value);
    else if (name === 'event' || name === 'id' || name === 'retry') this.#fields[name] = value;
  }

  #dispatch(): void {
    const data = this.#data.length > 0 ? { data: this.#data.join('\n') } : {};
    const event: SseEvent = { ...this.#fields, ...data };
    this.#data = [];
    this.#fields = {};
    if (Object.keys(event).length > 0) this.#onEvent(event);
  }
}

/** The event as text, by the book. */
export function sseText({ data, event, id, retry }: SseEvent): string {
  const lines = [
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(retry === undefined ? [] : [`retry: ${retry}`]),
    ...(data === undefined ? [] : data.split('\n').map((line) => `data: ${line}`)),
  ];
  return `${lines.join('\n')}\n\n`;
}
