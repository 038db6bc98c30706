/** The chat without a terminal: each line of stdin is a message; answers go to stdout, the rest to stderr. Command line's process. */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { FairleadError } from '../../shared/errors.js';
import type { PendingApproval, ServerEvent } from '../../shared/protocol.js';
import { ChatClient } from './client.js';
import type { ChatTarget } from './chat-interactive.js';
import { Renderer } from './render.js';
import { colorsFor, describeError } from '../report.js';
import { clean, inline } from '../terminal-text.js';

const GIVE_UP_MS = 120_000;

export interface Streams {
  input: Readable;
  output: Writable;
  errors: Writable & { isTTY?: boolean };
  env: NodeJS.ProcessEnv;
}

type Outcome = 'ok' | 'failed';

/** Resolves to the exit code: 1 when the last turn failed or the server refused the client, 130 after Ctrl-C. */
export async function chatPiped(target: ChatTarget, approveAll: boolean, streams: Streams): Promise<number> {
  const { endpoint, token, guard, session, model } = target;
  const client = new ChatClient({ ws: endpoint.ws, token, guard, session, model, giveUpMs: GIVE_UP_MS });
  const lines = createInterface({ input: streams.input, terminal: false });
  const talk = new PipedTalk(client, approveAll, streams, () => lines.close());
  const onSigint = () => talk.interrupt();
  process.once('SIGINT', onSigint);
  try {
    client.start();
    let last: Outcome = 'ok';
    for await (const line of lines) {
      if (line.trim() !== '') last = await talk.say(line);
      if (talk.exitCode !== undefined) return talk.exitCode;
    }
    return talk.exitCode ?? (last === 'ok' ? 0 : 1);
  } finally {
    process.off('SIGINT', onSigint);
    lines.close();
    streams.input.destroy();
    client.close();
  }
}

class PipedTalk {
  readonly #client: ChatClient;
  readonly #approveAll: boolean;
  readonly #streams: Streams;
  readonly #renderer: Renderer;
  readonly #onFinish: () => void;
  /** Set when no more messages can be sent. */
  exitCode: number | undefined;
  #message: string | undefined;
  #turn: number | undefined;
  #settle: ((outcome: Outcome) => void) | undefined;
  #lineIsOpen = false;
  #greeted = false;

  constructor(client: ChatClient, approveAll: boolean, streams: Streams, onFinish: () => void) {
    this.#onFinish = onFinish;
    this.#client = client;
    this.#approveAll = approveAll;
    this.#streams = streams;
    this.#renderer = new Renderer(colorsFor(streams.errors, streams.env));
    client.on('event', (event) => this.#event(event));
    client.on('retry', ({ why }) => this.#note(`${inline(why)}; connecting again …`));
    client.on('end', (error) => this.#ended(error));
  }

  /** Sends one message and waits for its turn's end. The client's deadlines end the wait when the server does not come back. */
  say(text: string): Promise<Outcome> {
    if (this.exitCode !== undefined) return Promise.resolve('failed');
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#turn = undefined;
      this.#message = this.#client.message(text);
    });
  }

  interrupt(): void {
    this.#client.cancel();
    this.#finish(130);
  }

  #event(event: ServerEvent): void {
    switch (event.type) {
      case 'session:ready':
        return this.#ready(event);
      case 'message:accepted':
        if (event.id === this.#message) this.#turn = event.turn;
        break;
      case 'text:delta':
        return this.#answer(clean(event.text));
      case 'text':
        return this.#endLine();
      case 'thinking:delta':
        return;
      case 'turn:end':
        this.#endLine();
        this.#streams.errors.write(this.#renderer.render(event));
        if (event.turn === this.#turn) {
          this.#done(event.stopReason === 'end_turn' || event.stopReason === 'max_tokens' ? 'ok' : 'failed');
        }
        return;
      case 'error':
        this.#streams.errors.write(this.#renderer.render(event));
        if (event.id !== undefined && event.id === this.#message) this.#done('failed');
        return;
      default:
    }
    this.#endLine();
    this.#streams.errors.write(this.#renderer.render(event));
    this.#decide();
  }

  #ready(event: Extract<ServerEvent, { type: 'session:ready' }>): void {
    if (!this.#greeted) this.#note(`session ${inline(event.session)}, model ${inline(event.model)}`);
    this.#greeted = true;
    this.#streams.errors.write(this.#renderer.render(event));
    this.#decide();
    // The client was away for too long: the turn has ended, and its end is no longer in the log.
    if (event.reset === true && this.#turn !== undefined && !this.#client.busy) this.#done('ok');
  }

  #decide(): void {
    for (const item of this.#client.pending) {
      if (item.kind === 'elicitation') {
        this.#note(`declined a question of ${inline(item.server)}: nobody is at the terminal`);
        this.#client.reply({ requestId: item.requestId, action: 'decline' });
      } else this.#approve(item);
    }
  }

  #approve({ callId, server, name, args }: PendingApproval): void {
    const what = `${inline(server)}/${inline(name)} ${inline(args)}`;
    if (this.#approveAll) {
      this.#note(`allowed (--yes): ${what}`);
      this.#client.approve({ callId, approved: true });
      return;
    }
    this.#note(`denied, since nobody is at the terminal to allow it (--yes allows everything): ${what}`);
    this.#client.approve({ callId, approved: false, reason: 'nobody is there to approve it' });
  }

  #answer(text: string): void {
    if (text === '') return;
    this.#lineIsOpen = !text.endsWith('\n');
    this.#streams.output.write(text);
  }

  #endLine(): void {
    if (this.#lineIsOpen) this.#streams.output.write('\n');
    this.#lineIsOpen = false;
  }

  #note(text: string): void {
    // Starts a new line where both streams share a terminal, and leaves stdout untouched.
    this.#streams.errors.write(`${this.#lineIsOpen ? '\n' : ''}${clean(text)}\n`);
  }

  #ended(error: FairleadError | undefined): void {
    if (error === undefined) return;
    this.#streams.errors.write(`${describeError(error, colorsFor(this.#streams.errors, this.#streams.env))}\n`);
    this.#finish(1);
  }

  #finish(exitCode: number): void {
    this.exitCode = exitCode;
    // Ends the wait for the next line too, since stdin may stay open.
    this.#onFinish();
    this.#done('failed');
  }

  #done(outcome: Outcome): void {
    this.#settle?.(outcome);
    this.#settle = undefined;
  }
}
