/** The chat's commands for files: what is in the workspace, a file there, a file or a folder from there. Command line's process. */
import { open, rm, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { ClientError } from '../../client/client-error.js';
import { Files, type Download, type FileInfo } from '../../client/files.js';
import { FairleadError } from '../../shared/errors.js';
import { fetchFor } from '../http-api.js';
import { inline } from '../terminal-text.js';
import { toFairleadError } from './client.js';
import { localPath, splitWords } from './local-paths.js';

const PAGE = 200;
/** Work that takes longer says how far it is, so often. */
const PROGRESS_MS = 3_000;
const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];
/** What ends a line, hides or leads elsewhere is in no name that is made here. */
const NO_NAME = /[\p{C}\p{Zl}\p{Zp}/\\]/gu;

export interface ChatFilesOptions {
  /** Base of the HTTP routes. */
  http: string;
  token: string | undefined;
  /** Throws where the token must not be sent. */
  guard?: (() => void) | undefined;
  /** A line for the person. */
  say: (text: string) => void;
  progressMs?: number;
}

export class ChatFiles {
  readonly #options: ChatFilesOptions;
  #running: AbortController | undefined;

  constructor(options: ChatFilesOptions) {
    this.#options = options;
  }

  /** Stops what goes in or out. False: nothing does. */
  stop(): boolean {
    if (!this.#running) return false;
    this.#running.abort(new FairleadError('ERR_CANCELLED', 'stopped'));
    return true;
  }

  async list(session: string, argument: string): Promise<void> {
    const [path] = remoteAndLocal(argument);
    const { files, next, savedAt } = await this.#with(session, (of) => of.list(path, { limit: PAGE }));
    const { say } = this.#options;
    if (files.length === 0) return say('no files there');
    for (const file of files) say(lineOf(file));
    if (next !== undefined) say(`… and more: the first ${files.length} are shown`);
    if (savedAt !== undefined) say(`as saved at ${new Date(savedAt).toLocaleString()}; no sandbox runs`);
  }

  /** `/upload LOCAL [TO]`. What is there is replaced. */
  async upload(session: string, argument: string): Promise<void> {
    const [local = '', to = '', ...more] = splitWords(argument) ?? [];
    if (local === '' || more.length > 0) throw usage('/upload LOCAL [TO]; a name with spaces stands in quotes');
    await this.send(session, localPath(local), { to });
  }

  /** `isNew`: what is there stays. */
  async send(session: string, local: string, { to = '', isNew = false } = {}): Promise<void> {
    const { say } = this.#options;
    const facts = await stat(local).catch((error: unknown) => {
      throw unreadable(local, error);
    });
    if (!facts.isFile()) throw usage(`${inline(local)} is no file: pack a folder first`);
    const name = basename(resolve(local));
    const target = to === '' || to.endsWith('/') ? to + name : to;
    const handle = await open(local).catch((error: unknown) => {
      throw unreadable(local, error);
    });
    try {
      // The length that was announced, also of a file that grows.
      const { size } = await handle.stat();
      const written = await this.#with(session, (of, signal, progress) => {
        const source = size === 0 ? [] : handle.createReadStream({ autoClose: false, start: 0, end: size - 1 });
        const body = streamOf(source, (bytes) => progress(`${inline(name, 60)}: ${amount(bytes)} of ${amount(size)}`));
        return of.write(target, size === 0 ? '' : body, { size, isNew, signal });
      });
      say(`uploaded ${inline(written.path)}, ${amount(written.size)}`);
    } finally {
      await handle.close();
    }
  }

  /** `/download PATH [TO]`. A folder comes as an archive. Nothing of this machine is replaced. */
  async download(session: string, argument: string): Promise<void> {
    const [path, to] = remoteAndLocal(argument);
    if (path === '') throw usage('/download PATH [TO]; a name with spaces stands in quotes');
    await this.#with(session, async (of, signal, progress) => {
      const found = await of.read(path, { signal }).catch(async (error: unknown) => {
        if (!(error instanceof ClientError) || error.code !== 'ERR_FILE_CONFLICT') throw error;
        const packed = await of.archive(path, { signal }).catch(() => undefined);
        if (!packed) throw error; // it is no folder either
        return { ...packed, ending: '.tar.gz' };
      });
      const ending = 'ending' in found ? found.ending : '';
      const name = localName(path) + ending;
      const local = localPath(to === '' ? name : to.endsWith('/') ? to + name : to);
      const bytes = await save(found, local, (done) => {
        const whole = found.size === undefined ? '' : ` of ${amount(found.size)}`;
        progress(`${inline(name, 60)}: ${amount(done)}${whole}`);
      });
      this.#options.say(`saved as ${inline(resolve(local), 400)}, ${amount(bytes)}`);
    });
  }

  async #with<T>(
    session: string,
    work: (files: Files, signal: AbortSignal, progress: (text: string) => void) => Promise<T>,
  ): Promise<T> {
    const { http, token, guard, say, progressMs = PROGRESS_MS } = this.#options;
    if (this.#running) throw usage('another file is on its way: Ctrl-C stops it');
    const controller = new AbortController();
    this.#running = controller;
    let toldAt = Date.now();
    const progress = (text: string): void => {
      if (Date.now() - toldAt < progressMs) return;
      toldAt = Date.now();
      say(`… ${text}`);
    };
    try {
      guard?.();
      const files = new Files({ url: http, token, session, fetch: fetchFor(http) });
      return await work(files, controller.signal, progress);
    } catch (error) {
      if (controller.signal.aborted) throw controller.signal.reason;
      throw error instanceof ClientError ? toFairleadError(error) : error;
    } finally {
      this.#running = undefined;
    }
  }
}

/** The workspace's path as lists show it, which may be in quotes of their own, and what comes after it. */
function remoteAndLocal(argument: string): [path: string, to: string] {
  const words = splitWords(argument) ?? [argument];
  const isShown = /\\[xu"\\nrt]/.test(argument) && /^"(?:[^"\\]|\\.)*"/.exec(argument);
  if (isShown) return [isShown[0], splitWords(argument.slice(isShown[0].length))?.join(' ') ?? ''];
  return [words[0] ?? '', words.slice(1).join(' ')];
}

/** A name that this machine takes, of a path that a sandbox has named. */
function localName(path: string): string {
  const last = path.split('/').findLast((part) => part !== '' && part !== '.') ?? 'workspace';
  const name = last
    .replaceAll(NO_NAME, '_')
    .replaceAll('"', '')
    .replace(/^[.-]+/, '_')
    .slice(0, 200);
  return name === '' ? 'file' : name;
}

async function save({ body }: Download, local: string, onBytes: (done: number) => void): Promise<number> {
  const handle = await open(local, 'wx').catch(async (error: unknown) => {
    await body.cancel();
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw usage(`${inline(local, 400)} is there already: name another file`);
    throw usage(`${inline(local, 400)} cannot be written (${code ?? 'unknown'})`);
  });
  let done = 0;
  try {
    for await (const chunk of body) {
      await handle.writeFile(chunk);
      done += chunk.length;
      onBytes(done);
    }
    return done;
  } catch (error) {
    await rm(local, { force: true }); // a part must not be taken for the whole
    throw error instanceof FairleadError
      ? error
      : new FairleadError('ERR_UNAVAILABLE', 'the download was cut: nothing is saved', { cause: error });
  } finally {
    await handle.close();
  }
}

function streamOf(source: AsyncIterable<Buffer> | Iterable<Buffer>, onBytes: (done: number) => void): ReadableStream {
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    let done = 0;
    for await (const chunk of source) {
      yield chunk;
      done += chunk.length;
      onBytes(done);
    }
  };
  return ReadableStream.from(counted());
}

function lineOf({ path, type, size, mtimeMs }: FileInfo): string {
  const what = type === 'file' ? amount(size) : type;
  const when = new Date(mtimeMs).toLocaleString();
  return `${what.padStart(10)}  ${when}  ${inline(path, 400)}${type === 'folder' ? '/' : ''}`;
}

export function amount(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1_000 && unit < UNITS.length - 1; unit++) value /= 1_000;
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

function usage(text: string): FairleadError {
  return new FairleadError('ERR_BAD_PATH', text);
}

function unreadable(local: string, error: unknown): FairleadError {
  const { code } = error as NodeJS.ErrnoException;
  return usage(
    `${inline(local, 400)} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown'})`}`,
  );
}
