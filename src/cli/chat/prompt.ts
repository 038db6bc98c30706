/** The input line, which stays whole below output that streams in above it. Command line's process. */
import { EventEmitter } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';
import { onAbort, pending } from '../../shared/abort.js';
import { advance } from '../terminal-text.js';

/** Deltas that arrive within this time are drawn together, against flicker. */
const DRAW_MS = 15;
/** Lines that arrive within this time are one paste, and one message. */
const PASTE_MS = 15;

export interface PromptOptions {
  /** Put into the line for editing. */
  prefill?: string;
  /** Its abort takes the question back: the answer is undefined. */
  signal?: AbortSignal;
  /** Ctrl-C takes the question back instead of reaching the chat. */
  interruptible?: boolean;
}

interface AskedLine {
  text: string;
  interruptible: boolean;
  resolve(answer: string | undefined): void;
}

export interface PromptEvents {
  line: [text: string];
  interrupt: [];
  close: [];
}

/** readline moves up by the rows that it drew last; `prevRows` must be reset after other output. */
type Drawn = Interface & { prevRows?: number };

export class Prompt extends EventEmitter<PromptEvents> {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #readline: Drawn;
  readonly #text: string;
  #question: AskedLine | undefined;
  #lastAsked: Promise<unknown> = Promise.resolve();
  #visible = false;
  #suspended = false;
  #closed = false;
  /** Column at which the output above the prompt ended; 0 is the start of a row. */
  #column = 0;
  #unwritten = '';
  #drawTimer: NodeJS.Timeout | undefined;
  #pasted: string[] = [];
  #pasteTimer: NodeJS.Timeout | undefined;

  constructor(input: ReadStream, output: WriteStream, text: string) {
    super();
    this.#input = input;
    this.#output = output;
    this.#text = text;
    this.#readline = createInterface({ input, output, terminal: true, prompt: text, historySize: 200 });
    this.#readline.on('line', (line) => this.#line(line));
    this.#readline.on('SIGINT', () => this.#interrupt());
    this.#readline.on('SIGCONT', () => this.#show());
    this.#readline.on('close', () => {
      this.#closed = true;
      this.#question?.resolve(undefined);
      this.emit('close');
    });
  }

  /** Typed text that is not sent yet. */
  get typed(): string {
    return this.#readline.line;
  }

  start(): void {
    this.#draw();
    this.#show();
  }

  /** Writes above the prompt; the next write continues an unfinished line. */
  write(text: string): void {
    if (text === '') return;
    this.#unwritten += text;
    this.#drawTimer ??= setTimeout(() => this.#draw(), DRAW_MS);
  }

  /** Asks one question at a time, and restores the typed text after it. Undefined when it was taken back or the input ended. */
  ask(text: string, options: PromptOptions = {}): Promise<string | undefined> {
    const answer = this.#lastAsked.then(() => this.#ask(text, options));
    this.#lastAsked = answer;
    return answer;
  }

  async #ask(
    text: string,
    { prefill = '', signal, interruptible = false }: PromptOptions,
  ): Promise<string | undefined> {
    if (this.#closed || signal?.aborted === true) return undefined;
    this.#draw();
    this.#flushPaste();
    const typed = this.typed;
    const { promise, resolve } = pending<string | undefined>();
    this.#question = { text, interruptible, resolve };
    const stopListening = onAbort(signal, () => resolve(undefined));
    this.#retype(text, prefill);
    const answer = await promise;
    stopListening();
    this.#question = undefined;
    if (!this.#closed) this.#retype(this.#text, typed);
    return answer;
  }

  clearTyped(): void {
    this.#retype(this.#question?.text ?? this.#text, '');
  }

  /** Hands the terminal to another program; draws afterwards what was written meanwhile. */
  async suspend<T>(run: () => Promise<T>): Promise<T> {
    this.#draw();
    this.#hide();
    this.#suspended = true;
    this.#readline.pause();
    this.#input.setRawMode(false);
    try {
      return await run();
    } finally {
      this.#input.setRawMode(true);
      this.#readline.resume();
      this.#suspended = false;
      this.#column = 0;
      this.#show();
      this.#draw();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#draw();
    clearTimeout(this.#pasteTimer);
    this.#hide();
    if (this.#column > 0) this.#output.write('\n');
    this.#readline.close();
  }

  #draw(): void {
    clearTimeout(this.#drawTimer);
    this.#drawTimer = undefined;
    if (this.#unwritten === '' || this.#suspended) return;
    const text = this.#unwritten;
    this.#unwritten = '';
    this.#output.cork();
    this.#hide();
    this.#output.write(text);
    this.#column = advance(this.#column, text, this.#output.columns || 80);
    if (!this.#closed) this.#show();
    this.#output.uncork();
  }

  /** Removes the prompt and puts the cursor where the output ended. */
  #hide(): void {
    if (!this.#visible) return;
    this.#visible = false;
    const up = this.#readline.getCursorPos().rows;
    this.#output.cork();
    if (up > 0) this.#output.moveCursor(0, -up);
    this.#output.cursorTo(0);
    this.#output.clearScreenDown();
    // A full row has wrapped by now, so the output goes on at column 0.
    if (this.#column === this.#output.columns) this.#column = 0;
    if (this.#column > 0) {
      this.#output.moveCursor(0, -1);
      this.#output.cursorTo(this.#column);
    }
    this.#output.uncork();
  }

  #show(): void {
    if (this.#closed || this.#suspended) return;
    this.#output.cork();
    if (!this.#visible && this.#column > 0) this.#output.write('\n');
    if (!this.#visible) this.#readline.prevRows = 0;
    this.#visible = true;
    this.#readline.prompt(true);
    this.#output.uncork();
  }

  #retype(prompt: string, text: string): void {
    this.#output.cork();
    this.#hide();
    this.#readline.setPrompt(prompt);
    this.#show();
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
    if (text !== '') this.#readline.write(text);
    this.#output.uncork();
  }

  #line(line: string): void {
    this.#visible = false;
    this.#column = 0;
    if (this.#question !== undefined) {
      this.#question.resolve(line);
      return;
    }
    this.#pasted.push(line);
    clearTimeout(this.#pasteTimer);
    this.#pasteTimer = setTimeout(() => this.#flushPaste(), PASTE_MS);
  }

  #flushPaste(): void {
    clearTimeout(this.#pasteTimer);
    if (this.#pasted.length === 0) return;
    const text = this.#pasted.join('\n');
    this.#pasted = [];
    this.emit('line', text);
    this.#show();
  }

  #interrupt(): void {
    if (this.#question?.interruptible === true) this.#question.resolve(undefined);
    else this.emit('interrupt');
  }
}
