/** The chat at a terminal: connects client, prompt, renderer and questions. Command line's process. */
import type { ReadStream, WriteStream } from 'node:tty';
import type { FairleadError } from '../../shared/errors.js';
import type { ServerEvent } from '../../shared/protocol.js';
import { ChatClient } from './client.js';
import { ChatFiles } from './chat-files.js';
import { helpText, parseLine, type Command, type TypedLine } from './commands.js';
import type { Endpoint } from '../endpoint.js';
import { McpApi } from '../mcp/mcp-api.js';
import { promptText, serversText } from '../mcp/mcp-text.js';
import { droppedFiles } from './local-paths.js';
import { parsePromptArgs } from './prompt-args.js';
import { Prompt } from './prompt.js';
import { QuestionAsker } from './question-asker.js';
import { Renderer } from './render.js';
import { colorsFor, describeError, type Colors } from '../report.js';
import { SessionsApi } from './sessions-api.js';
import { clean, inline } from '../terminal-text.js';

const TURNS_SHOWN = 6;

export interface Terminal {
  input: ReadStream;
  output: WriteStream;
  env: NodeJS.ProcessEnv;
}

export interface ChatTarget {
  endpoint: Endpoint;
  token?: string | undefined;
  /** Throws where the token must not be sent; called before each connection. */
  guard?: (() => void) | undefined;
  session?: string | undefined;
  model?: string | undefined;
}

/** Runs until the user leaves or the server refuses the client; resolves to the exit code. */
export function chatInteractive(target: ChatTarget, terminal: Terminal): Promise<number> {
  return new Promise((resolve) => {
    new Conversation(target, terminal, resolve).open(target.session);
  });
}

class Conversation {
  readonly #target: ChatTarget;
  readonly #finish: (exitCode: number) => void;
  readonly #colors: Colors;
  readonly #prompt: Prompt;
  readonly #renderer: Renderer;
  readonly #questions: QuestionAsker;
  readonly #api: SessionsApi;
  readonly #mcp: McpApi;
  readonly #files: ChatFiles;
  #client: ChatClient | undefined;
  #greeted: string | undefined;
  #lost = false;
  #cancelled = false;
  #done = false;

  constructor(target: ChatTarget, { input, output, env }: Terminal, finish: (exitCode: number) => void) {
    this.#target = target;
    this.#finish = finish;
    this.#colors = colorsFor(output, env);
    this.#renderer = new Renderer(this.#colors);
    this.#api = new SessionsApi(target.endpoint.http, target.token);
    this.#mcp = new McpApi(target.endpoint.http, target.token);
    const { endpoint, token, guard } = target;
    this.#files = new ChatFiles({ http: endpoint.http, token, guard, say: (text) => this.#note(text) });
    this.#prompt = new Prompt(input, output, `${this.#colors.bold(this.#colors.cyan('›'))} `);
    this.#questions = new QuestionAsker({
      prompt: this.#prompt,
      renderer: this.#renderer,
      colors: this.#colors,
      env,
      onCommand: (line) => this.#line(line),
    });
    this.#prompt.on('line', (text) => this.#line(text));
    this.#prompt.on('interrupt', () => this.#interrupt());
    this.#prompt.on('close', () => this.#quit(0));
  }

  open(session: string | undefined): void {
    const before = this.#client;
    before?.removeAllListeners();
    before?.close();
    const { endpoint, token, guard, model } = this.#target;
    const client = new ChatClient({ ws: endpoint.ws, token, guard, session, model });
    this.#client = client;
    this.#greeted = undefined;
    this.#questions.attend(client);
    client.on('event', (event) => this.#event(event));
    client.on('retry', ({ why }) => this.#retry(why));
    client.on('end', (error) => this.#ended(error));
    client.start();
  }

  #event(event: ServerEvent): void {
    if (event.type === 'session:ready') this.#ready(event);
    if (event.type === 'turn:end') this.#cancelled = false;
    this.#prompt.write(this.#renderer.render(event));
    this.#questions.update();
  }

  #ready({ session, model, resumed }: Extract<ServerEvent, { type: 'session:ready' }>): void {
    if (this.#lost) this.#note('connected again');
    this.#lost = false;
    if (this.#greeted === session) return;
    this.#greeted = session;
    const { http } = this.#target.endpoint;
    this.#note(
      `${resumed ? 'back in' : 'new'} session ${inline(session)} at ${http}, model ${inline(model)}; /help for commands`,
    );
    if (resumed) this.#attempt(this.#history(TURNS_SHOWN));
    this.#prompt.start();
  }

  #retry(why: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#say(this.#colors.yellow(`${inline(why)}; connecting again …`));
  }

  #line(text: string): void {
    const line = parseLine(text);
    switch (line.kind) {
      case 'empty':
        return;
      case 'unknown':
        return this.#say(this.#colors.yellow(`/${inline(line.name)} is no command; /help lists them`));
      case 'command':
        return this.#attempt(this.#command(line.command, line.argument));
      case 'message':
        return this.#attempt(this.#message(line.text));
      case 'prompt':
        return this.#attempt(this.#sendPrompt(line));
    }
  }

  async #message(text: string): Promise<void> {
    const dropped = droppedFiles(text);
    if (dropped && (await this.#sendDropped(dropped))) return;
    this.#client?.message(text);
    if (this.#client?.attached === false) this.#note('no connection: it is sent once there is one');
  }

  /** False: it is to be a message. */
  async #sendDropped(paths: readonly string[]): Promise<boolean> {
    const session = this.#client?.session;
    if (session === undefined) return false;
    const what = paths.length === 1 ? inline(paths[0], 200) : `${paths.length} files`;
    const line = await this.#prompt.ask(`upload ${what}? [y]es / [n]o, it is a message › `, { interruptible: true });
    if (line === undefined) return true;
    if (!/^y(es)?$/i.test(line.trim())) return false;
    for (const path of paths) await this.#files.send(session, path, { isNew: true });
    return true;
  }

  /** A session, once there is one. */
  async #inSession(work: (session: string) => Promise<void>): Promise<void> {
    const session = this.#client?.session;
    if (session === undefined) return this.#note('no session yet');
    return work(session);
  }

  async #command(command: Command, argument: string): Promise<void> {
    switch (command) {
      case 'cancel':
        return this.#cancel();
      case 'reset':
        return this.#client?.reset();
      case 'restart':
        return this.#restart(argument);
      case 'sessions':
        return this.#sessions(argument);
      case 'new':
        return this.open(undefined);
      case 'history':
        return this.#history(Number.POSITIVE_INFINITY);
      case 'files':
        return this.#inSession((session) => this.#files.list(session, argument));
      case 'upload':
        return this.#inSession((session) => this.#files.upload(session, argument));
      case 'download':
        return this.#inSession((session) => this.#files.download(session, argument));
      case 'mcp':
        return this.#prompt.write(serversText(await this.#mcp.list(), this.#colors));
      case 'prompts':
        return this.#prompts(argument);
      case 'help':
        return this.#say(helpText());
      case 'quit':
        return this.#quit(0);
    }
  }

  #restart(argument: string): void {
    if (argument !== '' && argument !== 'discard') return this.#note('say /restart, or /restart discard');
    if (this.#client?.restartSandbox(argument === 'discard') === true) return this.#note('saving and restarting …');
    return this.#say(this.#colors.yellow('no connection: cannot restart now'));
  }

  #cancel(): void {
    if (this.#client?.busy !== true) return this.#note('nothing runs');
    if (!this.#client.cancel()) return this.#say(this.#colors.yellow('no connection: cannot cancel now'));
    this.#cancelled = true;
    return this.#note('cancelling …');
  }

  /** Ctrl-C clears typed text first; while a turn runs it cancels it; the second time, or without a turn, it leaves. */
  #interrupt(): void {
    if (this.#files.stop()) return;
    if (this.#client?.busy === true && !this.#cancelled) {
      // Set also without a connection, so that the second Ctrl-C leaves.
      this.#cancelled = true;
      return this.#cancel();
    }
    if (this.#client?.busy !== true && this.#prompt.typed !== '') return this.#prompt.clearTyped();
    return this.#quit(0);
  }

  async #sessions(argument: string): Promise<void> {
    const sessions = await this.#api.list();
    if (sessions.length === 0) return this.#note('no sessions yet');
    let choice = argument;
    if (choice === '') {
      for (const [index, { session, title, lastActiveAt }] of sessions.entries()) {
        const here = session === this.#client?.session ? this.#colors.green(' (here)') : '';
        const when = lastActiveAt === undefined ? '' : new Date(lastActiveAt).toLocaleString();
        const facts = this.#colors.dim(`${inline(session)} ${when}`);
        this.#say(`${String(index + 1).padStart(3)}  ${inline(title, 60) || '(empty)'}${here}  ${facts}`);
      }
      choice = (await this.#prompt.ask('go to number (empty: stay) › ', { interruptible: true }))?.trim() ?? '';
      if (choice === '') return undefined;
      // Who does not name one goes on in the chat: a command or a message is not lost.
      if (!/^\d+$/.test(choice)) return this.#line(choice);
    }
    const chosen = sessions[Number(choice) - 1];
    if (chosen === undefined) return this.#say(this.#colors.yellow(`there is no number ${inline(choice)}`));
    return this.open(chosen.session);
  }

  async #history(entries: number): Promise<void> {
    const session = this.#client?.session;
    if (session === undefined) return this.#note('no session yet');
    const transcript = await this.#api.transcript(session);
    if (transcript.length === 0) return this.#note('nothing said yet');
    const shown = transcript.slice(-entries);
    if (shown.length < transcript.length) this.#note(`… ${transcript.length - shown.length} earlier: /history`);
    return this.#prompt.write(this.#renderer.transcript(shown));
  }

  /** Prompts of all servers that have some, or of one. A server that does not answer does not hide the others. */
  async #prompts(argument: string): Promise<void> {
    const servers = await this.#mcp.list();
    const asked = servers.filter(({ name, prompts }) => (argument === '' ? prompts : name === argument));
    const lists = asked.map(async ({ name }) => {
      try {
        return (await this.#mcp.prompts(name, this.#client?.session)).map((prompt) =>
          promptText(name, prompt, this.#colors),
        );
      } catch (error) {
        return [`${inline(name)}: ${describeError(error, this.#colors)}`];
      }
    });
    const lines = (await Promise.all(lists)).flat();
    if (lines.length === 0) return this.#note('no server has prompts');
    for (const line of lines) this.#say(line);
  }

  async #sendPrompt({ server, prompt, argument }: Extract<TypedLine, { kind: 'prompt' }>): Promise<void> {
    const session = this.#client?.session;
    const known = (await this.#mcp.prompts(server, session)).find(({ name }) => name === prompt);
    if (!known)
      return this.#say(this.#colors.yellow(`${inline(server)} has no prompt ${inline(prompt)}; /prompts lists them`));
    const args = parsePromptArgs(argument, known.arguments);
    return this.#message(await this.#mcp.promptText(server, prompt, args, session));
  }

  #attempt(work: Promise<void>): void {
    work.catch((error: unknown) => this.#say(describeError(error, this.#colors)));
  }

  #note(text: string): void {
    this.#say(this.#colors.dim(clean(text)));
  }

  #say(text: string): void {
    this.#prompt.write(this.#renderer.line(text));
  }

  #ended(error: FairleadError | undefined): void {
    if (error === undefined) return;
    this.#say(describeError(error, this.#colors));
    this.#quit(1);
  }

  #quit(exitCode: number): void {
    if (this.#done) return;
    this.#done = true;
    const session = this.#client?.session;
    if (session !== undefined)
      this.#note(`session ${inline(session)} stays: fairlead chat --session ${inline(session)}`);
    this.#questions.attend(undefined);
    this.#client?.removeAllListeners();
    this.#client?.close();
    this.#prompt.close();
    this.#finish(exitCode);
  }
}
