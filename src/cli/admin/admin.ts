/** `fairlead admin …`: asks a running server. Command line's process. */
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError, isFairleadError } from '../../shared/errors.js';
import { parseDuration } from '../credentials/credential-text.js';
import { safeEndpoint } from '../endpoint.js';
import { exportText, writeExport } from '../export/export-file.js';
import type { Colors } from '../report.js';
import { inline } from '../terminal-text.js';
import { AdminApi, type DrainInfo } from './admin-api.js';
import { parseBytes, sandboxesText, sessionsText, usersText, userText } from './admin-text.js';
import { confirm } from './confirm.js';

const WAIT_STEP_MS = 500;

export interface AdminOptions {
  url: string;
  token: string | undefined;
  json: boolean;
  insecure: boolean;
  colors: Colors;
  write: (text: string) => void;
  /** What is no result. */
  note: (text: string) => void;
}

export interface PageFlags {
  limit?: string;
  after?: string;
}

export interface SessionListFlags extends PageFlags {
  user?: string;
  state?: string;
  unused?: string;
  larger?: string;
}

export interface SandboxListFlags extends PageFlags {
  user?: string;
  session?: string;
}

export interface EndSandboxFlags extends ActFlags {
  discard?: boolean;
}

export interface DrainFlags {
  wait?: boolean;
  timeout?: string;
}

export interface ActFlags {
  yes?: boolean;
}

export class AdminCommands {
  readonly #options: AdminOptions;
  readonly #api: AdminApi;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#api = new AdminApi(safeEndpoint(options).http, options.token);
  }

  async sessions({ user, state, unused, larger, limit, after }: SessionListFlags): Promise<void> {
    const unusedMs = unused === undefined ? undefined : parseDuration(unused);
    if (unused !== undefined && unusedMs === undefined) {
      throw new FairleadError('ERR_CONFIG', `--unused ${unused} is no time: write 30m, 12h, 90d, 8w or 1y`);
    }
    const minBytes = larger === undefined ? undefined : parseBytes(larger);
    if (larger !== undefined && minBytes === undefined) {
      throw new FairleadError('ERR_CONFIG', `--larger ${larger} is no size: write 10MB, 512kB or 1GB`);
    }
    const page = await this.#api.sessions({ user, state, unusedMs, minBytes, limit, after });
    this.#tell(page, sessionsText(page.sessions, Date.now()) + this.#more(page.next));
  }

  async endSession(id: string, { yes = false }: ActFlags): Promise<void> {
    const { user } = await this.#api.session(id);
    await confirm(`End the session ${id} of ${user}? Its turns stop, its files are saved.`, yes);
    await this.#api.endSession(id);
    this.#did({ ended: id }, `${inline(id)} has ended: its turns have stopped, its connections are closed`);
  }

  async deleteSession(id: string, { yes = false }: ActFlags): Promise<void> {
    const { user } = await this.#api.session(id);
    await confirm(`Delete the session ${id} of ${user}, with its history and files? They do not come back.`, yes);
    await this.#api.deleteSession(id);
    this.#did({ deleted: id }, `${inline(id)} is deleted`);
  }

  async kick(user: string, { yes = false }: ActFlags): Promise<void> {
    await confirm(`Close all connections of ${user}?`, yes);
    const closed = await this.#api.kick(user);
    const told = `${closed} connections of ${inline(user)} are closed at this server; other servers of the store do so within a second`;
    this.#did({ kicked: user, closed }, told);
  }

  async users({ limit, after }: PageFlags): Promise<void> {
    const page = await this.#api.users({ limit, after });
    this.#tell(page, usersText(page.users, Date.now()) + this.#more(page.next));
  }

  async user(name: string): Promise<void> {
    const facts = await this.#api.user(name);
    this.#tell(facts, userText(facts, Date.now()));
  }

  async exportUser(name: string, file: string): Promise<void> {
    const manifest = await writeExport(file, this.#api.exportUser(name));
    this.#did(manifest, exportText(manifest, file).trimEnd());
  }

  /** Returns when nothing of them is left. */
  async deleteUser(name: string, { yes = false }: ActFlags): Promise<void> {
    const { sessions, tokens } = await this.#api.user(name);
    const what = `${sessions} sessions with their files, ${tokens} tokens, log-ins, usage`;
    await confirm(`Delete the user ${name} with everything that is theirs (${what})? It does not come back.`, yes);
    let told: string | undefined;
    for (;;) {
      const erased = await this.#api.deleteUser(name).catch((error: unknown) => {
        // The one before has ended it: this one finds nothing.
        if (told !== undefined && isFairleadError(error, 'ERR_NOT_FOUND')) return undefined;
        throw error;
      });
      if (erased === undefined || erased.deleted) {
        this.#did(
          erased ?? { user: name, deleted: true },
          `${inline(name)} is deleted: nothing of them is left but the audit log; whom auth.tokens or the issuer still names may come back, as a new user`,
        );
        return;
      }
      const problem = erased.problem ?? 'it takes a while';
      if (problem !== told)
        this.#options.note(`deleting ${inline(name)}: ${inline(problem, 300)}; it goes on at the server\n`);
      told = problem;
    }
  }

  async sandboxes({ user, session, limit, after }: SandboxListFlags): Promise<void> {
    const page = await this.#api.sandboxes({ user, session, limit, after });
    this.#tell(page, sandboxesText(page.sandboxes, Date.now()) + this.#more(page.next));
  }

  async endSandbox(id: string, { yes = false, discard = false }: EndSandboxFlags): Promise<void> {
    const lost = discard
      ? 'Files that cannot be saved are lost.'
      : 'Its files are saved, its session gets a fresh one.';
    await confirm(`End the sandbox ${id}? What runs in it ends. ${lost}`, yes);
    const { sandbox, saved } = await this.#api.endSandbox(id, discard);
    this.#did({ ended: sandbox, saved }, `${inline(sandbox)} has ended; its files are ${saved ? 'saved' : 'lost'}`);
  }

  /** With `wait` it ends when nothing runs any more; with a time it fails after that: ERR_UNAVAILABLE. */
  async drain({ wait, timeout }: DrainFlags): Promise<void> {
    const timeoutMs = timeout === undefined ? Infinity : (parseDuration(timeout) ?? parseSeconds(timeout));
    if (timeoutMs === undefined) {
      throw new FairleadError('ERR_CONFIG', `--timeout ${timeout} is no time: write 30s, 10m or 1h`);
    }
    const until = performance.now() + timeoutMs;
    const begun = await this.#api.drain('POST');
    const state = wait ? await this.#drained(begun, until, timeout) : begun;
    if (!state.draining) throw new FairleadError('ERR_UNAVAILABLE', 'somebody else has ended the drain');
    this.#did(state, `the server takes nothing new; ${leftText(state)}`);
  }

  /** Resolves when nothing runs, or somebody has ended the drain. ERR_UNAVAILABLE: not in time. */
  async #drained(begun: DrainInfo, until: number, timeout = ''): Promise<DrainInfo> {
    let state = begun;
    while (state.draining && state.turns + state.calls > 0) {
      if (performance.now() > until) {
        throw new FairleadError('ERR_UNAVAILABLE', `${leftText(state)} after ${timeout}; the server goes on draining`);
      }
      await delay(WAIT_STEP_MS);
      state = await this.#api.drain('GET');
    }
    return state;
  }

  async undrain(): Promise<void> {
    const state = await this.#api.drain('DELETE');
    this.#did(state, 'the server takes work again');
  }

  #more(next: string | undefined): string {
    return next === undefined ? '' : `more with --after ${inline(next)}\n`;
  }

  #did(value: unknown, text: string): void {
    this.#tell(value, `${this.#options.colors.green('✓')} ${text}\n`);
  }

  #tell(value: unknown, text: string): void {
    this.#options.write(this.#options.json ? `${JSON.stringify(value)}\n` : text);
  }
}

function leftText({ turns, calls }: DrainInfo): string {
  if (turns + calls === 0) return 'nothing runs';
  return `${turns} turns${calls > 0 ? ` and ${calls} calls` : ''} run`;
}

function parseSeconds(text: string): number | undefined {
  const [, seconds] = /^(\d{1,6})s$/.exec(text) ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
