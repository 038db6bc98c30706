/** Asks the user at the terminal for approvals and MCP servers' questions, one after the other. Command line's process. */
import type { PendingApproval, PendingElicitation } from '../../shared/protocol.js';
import type { ChatClient } from './client.js';
import { describeField, fieldsOf, parseField } from '../elicitation-form.js';
import { editArgs } from './editor.js';
import type { Prompt } from './prompt.js';
import type { Renderer } from './render.js';
import { describeError, type Colors } from '../report.js';

export interface QuestionAskerOptions {
  prompt: Prompt;
  renderer: Renderer;
  colors: Colors;
  env: NodeJS.ProcessEnv;
  /** Called for a command (`/cancel`) that is typed in place of an answer. */
  onCommand: (line: string) => void;
}

interface Asking {
  key: string;
  abort: AbortController;
}

export class QuestionAsker {
  readonly #options: QuestionAskerOptions;
  #client: ChatClient | undefined;
  #asked: Asking | undefined;

  constructor(options: QuestionAskerOptions) {
    this.#options = options;
  }

  /** Asks this client's questions from now on, and takes back the previous client's. */
  attend(client: ChatClient | undefined): void {
    this.#client = client;
    this.#asked?.abort.abort();
  }

  /** Call it after every event: asks what is open, and takes back what was answered elsewhere, timed out or was cancelled. */
  update(): void {
    const pending = this.#client?.pending ?? [];
    if (this.#asked !== undefined) {
      const { key, abort } = this.#asked;
      if (!pending.some((item) => keyOf(item) === key)) abort.abort();
      return;
    }
    const next = pending[0];
    if (next === undefined || this.#client === undefined) return;
    const asked = { key: keyOf(next), abort: new AbortController() };
    this.#asked = asked;
    void this.#ask(next, this.#client, asked.abort.signal).finally(() => {
      this.#asked = undefined;
      // In a microtask, since a question that fails at once would otherwise recurse.
      queueMicrotask(() => this.update());
    });
  }

  async #ask(item: PendingApproval | PendingElicitation, client: ChatClient, signal: AbortSignal): Promise<void> {
    const { prompt, renderer, colors } = this.#options;
    prompt.write(renderer.question(item));
    try {
      if (item.kind === 'approval') await this.#approval(item, client, signal);
      else await this.#elicitation(item, client, signal);
    } catch (error) {
      prompt.write(renderer.line(describeError(error, colors)));
    }
  }

  async #approval(item: PendingApproval, client: ChatClient, signal: AbortSignal): Promise<void> {
    const { prompt, renderer, colors, env } = this.#options;
    const { callId } = item;
    // Binds the yes to what is shown here.
    const yes = { callId, approved: true, ...(item.tool ? { definition: item.tool.definition } : {}) };
    const question = `${colors.yellow('allow?')} [y]es / [n]o / [a]lways for this session / [e]dit › `;
    while (!signal.aborted) {
      const line = await prompt.ask(question, { signal });
      if (line === undefined || signal.aborted) return;
      switch (line.trim().toLowerCase()) {
        case 'y':
        case 'yes':
          return client.approve(yes);
        case 'a':
        case 'always':
          return client.approve({ ...yes, remember: 'session' });
        case 'n':
        case 'no': {
          const reason = await prompt.ask('why? (told to the model; empty for nothing) › ', { signal });
          if (reason === undefined) return;
          return client.approve({
            callId,
            approved: false,
            ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
          });
        }
        case 'e':
        case 'edit': {
          const args = await editArgs(item.args, prompt, env, signal);
          if (args === undefined || signal.aborted) break;
          prompt.write(renderer.question({ ...item, args }));
          const sure = await prompt.ask('run it with these? [y]es / [n]o, ask again › ', { signal });
          if (/^y(es)?$/i.test(sure?.trim() ?? '')) return client.approve({ ...yes, args });
          break;
        }
        default:
          if (line.startsWith('/')) this.#options.onCommand(line);
          else prompt.write(renderer.line(colors.dim('y, n, a or e; /cancel stops the turn')));
      }
    }
  }

  async #elicitation(item: PendingElicitation, client: ChatClient, signal: AbortSignal): Promise<void> {
    const { requestId } = item;
    const { prompt, renderer, colors } = this.#options;
    const fields = item.mode === 'form' ? fieldsOf(item.schema) : [];
    const content: Record<string, unknown> = {};
    for (let index = 0; index < fields.length;) {
      const field = fields[index];
      if (field === undefined) break;
      const line = await prompt.ask(`${describeField(field)} (/decline, /cancel) › `, { signal });
      if (line === undefined || signal.aborted) return;
      if (line.trim() === '/decline') return client.reply({ requestId, action: 'decline' });
      if (line.trim() === '/cancel') return client.reply({ requestId, action: 'cancel' });
      const value = parseField(field, line.trim());
      if (value instanceof Error) prompt.write(renderer.line(colors.yellow(value.message)));
      else {
        if (value !== undefined) content[field.name] = value;
        index += 1;
      }
    }
    if (fields.length > 0) return client.reply({ requestId, action: 'accept', content });
    const done = item.mode === 'url' ? 'open the address; done?' : 'agree?';
    const line = await prompt.ask(`${done} [y]es / [n]o › `, { signal });
    if (line === undefined || signal.aborted) return;
    const action = /^y(es)?$/i.test(line.trim()) ? 'accept' : 'decline';
    return client.reply({ requestId, action, ...(action === 'accept' && item.mode === 'form' ? { content } : {}) });
  }
}

function keyOf(item: PendingApproval | PendingElicitation): string {
  return item.kind === 'approval' ? `call ${item.callId}` : `question ${item.requestId}`;
}
