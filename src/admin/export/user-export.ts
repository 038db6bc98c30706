/** All that is kept of a user, as a tar: for themselves, or for an administrator who may read sessions. Main thread. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  HistoryPiece,
  HistoryPlace,
  ReadEventsResult,
  SessionInfo,
} from '../../../workers/agent/contract/sessions.js';
import type { ReadUsageRequest, UsageLine } from '../../../workers/agent/contract/usage.js';
import type { ExportedWorkspace } from '../../../workers/docker/contract/messages.js';
import type { Credentials, ShownToken } from '../../credentials/credentials.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { errorToData, FairleadError, isFairleadError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import type { Who } from '../../shared/person.js';
import { dayOf } from '../../shared/utc-period.js';
import { VERSION } from '../../shared/version.js';
import type { Agents } from '../../threads/agents.js';
import type { DockerPool } from '../../threads/docker-pool.js';
import type { AdminDesk } from '../desk.js';
import { Spool } from './spool.js';
import { tarOf, type ExportFile } from './tar.js';

/** Of this server. Each may write a workspace to its disk. */
const AT_ONCE = 2;
const REQUEST_MS = 30_000;
const LIST_PAGE = 200;
const EVENTS_PAGE = 200;
const USAGE_PAGE = 5_000;
const TOKENS_PAGE = 500;

export interface UserExportsOptions {
  agents: Pick<Agents, 'request'>;
  docker: () => Pick<DockerPool, 'run'> | undefined;
  credentials: () => Pick<Credentials, 'list'>;
  desk: Pick<AdminDesk, 'onSession'>;
  /** This server's name. */
  instance: string;
  dataDir: string;
  /** How many days use is remembered. */
  keepDays: () => number;
  log: Logger;
}

export interface ExportOrder {
  user: string;
  /** The administrator who reads what is another's: each session is told so before it is read. Absent: the user. */
  reader?: { user: string; who: Who };
}

/** What could not be had, by session and file. */
interface Missing {
  session: string;
  what: string;
  why: string;
}

interface Contents {
  sessions: number;
  files: string[];
  missing: Missing[];
}

export class UserExports {
  readonly #options: UserExportsOptions;
  readonly #root: string;
  /** Users whose export runs. */
  readonly #running = new Set<string>();

  constructor(options: UserExportsOptions) {
    this.#options = options;
    this.#root = join(options.dataDir, 'exports');
  }

  /** Removes what a crash has left. */
  async clean(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true });
  }

  /** ERR_TOO_MANY_REQUESTS at once. The tar ends with the error of a part that everything needs; it is cut then. */
  open(order: ExportOrder, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { user } = order;
    if (this.#running.has(user) || this.#running.size >= AT_ONCE) {
      const told = this.#running.has(user)
        ? `an export of ${user} runs already`
        : 'too many exports run at this server';
      throw new FairleadError('ERR_TOO_MANY_REQUESTS', told, { retryAfterMs: 10_000 });
    }
    this.#running.add(user);
    return this.#open(order, signal);
  }

  async *#open(order: ExportOrder, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let spool: Spool | undefined;
    try {
      spool = await Spool.open(this.#root);
      yield* tarOf(this.#files(order, spool, signal));
    } finally {
      await spool?.close();
      this.#running.delete(order.user);
    }
  }

  async *#files(order: ExportOrder, spool: Spool, signal: AbortSignal): AsyncGenerator<ExportFile> {
    const { user } = order;
    const contents: Contents = { sessions: 0, files: [], missing: [] };
    const noted = (file: ExportFile): ExportFile => {
      contents.files.push(file.name);
      return file;
    };
    // First of all: where the store is away no tar begins. And a session that is used meanwhile moves to the begin of the list.
    const [usage, tokens] = [await this.#usage(user), await this.#tokens(user)];
    const sessions = await this.#sessions(user, signal);
    yield noted(jsonFile('usage.json', usage));
    yield noted(jsonFile('tokens.json', tokens));
    for (const session of sessions) {
      signal.throwIfAborted();
      const told = await this.#tell(order, session);
      if (told !== undefined) {
        contents.missing.push({ session, what: 'all of it', why: told });
        continue;
      }
      contents.sessions++;
      for await (const file of this.#session({ user, session }, spool, contents.missing)) yield noted(file);
    }
    yield jsonFile('manifest.json', {
      format: 1,
      user,
      exportedAt: new Date().toISOString(),
      exportedBy: order.reader?.user ?? user,
      server: this.#options.instance,
      version: VERSION,
      ...contents,
    });
  }

  /** Undefined, or why the session may not be read. */
  async #tell({ reader }: ExportOrder, session: string): Promise<string | undefined> {
    if (!reader) return undefined;
    try {
      await audited({ what: 'support_look', ...auditedAs(reader.user, reader.who), session });
      await this.#options.desk.onSession({ do: 'look', session, admin: reader.user });
      return undefined;
    } catch (error) {
      if (isFairleadError(error)) return `its user could not be told: ${error.message}`;
      throw error;
    }
  }

  async *#session(of: { user: string; session: string }, spool: Spool, missing: Missing[]): AsyncGenerator<ExportFile> {
    const { session } = of;
    const at = `sessions/${session}`;
    const steps: [what: string, make: () => Promise<ExportFile>][] = [
      ['session.json', async () => jsonFile(`${at}/session.json`, await this.#info(of))],
      ['messages.json', () => spool.keep(`${at}/messages.json`, this.#messages(of))],
      ['events.ndjson', () => spool.keep(`${at}/events.ndjson`, this.#events(of))],
    ];
    for (const [what, make] of steps) {
      try {
        yield await make();
      } catch (error) {
        missing.push({ session, what, why: whyOf(error) });
        if (isFairleadError(error, 'ERR_NO_SUCH_SESSION')) return;
      }
    }
    for (const { server, file, problem, skipped = 0 } of await this.#workspaces(session, spool, missing)) {
      const what = `workspaces/${server}.tar`;
      if (skipped > 0) missing.push({ session, what, why: `${skipped} files could not be saved` });
      if (file === undefined) missing.push({ session, what, why: problem ?? 'it could not be written' });
      else yield await spool.file(`${at}/${what}`, file);
    }
  }

  #info(of: { user: string; session: string }): Promise<SessionInfo> {
    return this.#options.agents.request(of.session, 'get-session', of, { timeoutMs: REQUEST_MS });
  }

  async *#messages(of: { user: string; session: string }): AsyncGenerator<Uint8Array | string> {
    const { agents } = this.#options;
    let place: HistoryPlace | undefined;
    yield '[';
    do {
      const request = { ...of, quiet: true as const, ...(place && { place }) };
      const piece: HistoryPiece = await agents.request(of.session, 'read-history', request, { timeoutMs: REQUEST_MS });
      yield piece.bytes;
      place = piece.next;
    } while (place);
    yield ']\n';
  }

  async *#events(of: { user: string; session: string }): AsyncGenerator<string> {
    const { agents } = this.#options;
    for (let after: number | undefined = 0; after !== undefined;) {
      const request = { ...of, after, limit: EVENTS_PAGE };
      const page: ReadEventsResult = await agents.request(of.session, 'read-events', request, {
        timeoutMs: REQUEST_MS,
      });
      yield page.lines;
      after = page.next;
    }
  }

  async #workspaces(session: string, spool: Spool, missing: Missing[]): Promise<ExportedWorkspace[]> {
    const { agents, docker, instance } = this.#options;
    try {
      const { server } = await agents.request(session, 'session-size', { session }, { timeoutMs: REQUEST_MS });
      if (server !== instance) {
        missing.push({ session, what: 'workspaces', why: `files that are at the server ${server} are exported there` });
      }
      return (await docker()?.run('export-workspaces', { session, folder: spool.folder }))?.workspaces ?? [];
    } catch (error) {
      missing.push({ session, what: 'workspaces', why: whyOf(error) });
      return [];
    }
  }

  async #sessions(user: string, signal: AbortSignal): Promise<string[]> {
    const { agents } = this.#options;
    const found = new Set<string>();
    for (let cursor: string | undefined; ;) {
      signal.throwIfAborted();
      const page = { user, limit: LIST_PAGE, ...(cursor === undefined ? {} : { cursor }) };
      const { sessions, next } = await agents.request(user, 'list-sessions', page, { timeoutMs: REQUEST_MS });
      for (const { session } of sessions) found.add(session);
      if (next === undefined) return [...found];
      cursor = next;
    }
  }

  async #usage(user: string): Promise<object> {
    const today = dayOf(Date.now());
    const from = today - this.#options.keepDays();
    const read = async (by: ReadUsageRequest['by']): Promise<{ currency: string; rows: UsageLine[] }> => {
      const request = { by, from, to: today, user, limit: USAGE_PAGE };
      return this.#options.agents.request(user, 'read-usage', request, { timeoutMs: REQUEST_MS });
    };
    const [days, models] = [await read('day'), await read('model')];
    return { currency: days.currency, byDay: days.rows, byModel: models.rows };
  }

  /** Names and dates; the store has no token, only hashes, which are left out. */
  async #tokens(user: string): Promise<ShownToken[]> {
    const all: ShownToken[] = [];
    for (let after: number | undefined = 0; after !== undefined;) {
      const { tokens, next } = await this.#options.credentials().list(TOKENS_PAGE, after, user);
      all.push(...tokens);
      after = next;
    }
    return all;
  }
}

function jsonFile(name: string, value: unknown): ExportFile {
  const bytes = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  return { name, size: bytes.length, content: [bytes] };
}

/** Without a path of this machine. */
function whyOf(error: unknown): string {
  if (isFairleadError(error)) return error.message;
  return `the server could not write it (${(error as NodeJS.ErrnoException).code ?? errorToData(error).name})`;
}
