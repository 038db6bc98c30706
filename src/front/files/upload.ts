/** Takes a file: its bytes go to the sandbox as they come, a window of them at a time, and get their name when all are there. Main thread. */
import { MessageChannel } from 'node:worker_threads';
import { FairleadError } from '../../shared/errors.js';
import type { FileStat, WorkspaceOf } from '../../../workers/docker/contract/files.js';
import type { Exchange, FileConditions } from '../http.js';
import type { RouteCall } from '../router.js';
import { NO_CONDITIONS } from './download.js';
import type { FileDesk, Held } from './file-desk.js';
import { etagOf, namesVersion } from './file-headers.js';
import { FileTarget } from './file-port.js';

/** As the helper in the sandbox knows it: nothing may be there. No version looks like it. */
const ABSENT = 'absent';
const WINDOW_BYTES = 1_048_576;
/** So much of a body that is refused is taken and dropped, since most clients read no answer before they have sent all; a longer one ends its connection. */
const LINGER_BYTES = 1_073_741_824;

export interface UploadOptions {
  desk: FileDesk;
  path: string;
  maxBytes: number;
}

/** ERR_FILE_CHANGED, ERR_NO_SPACE, and the errors of the file. Nothing is there then that was not before. */
export async function upload(call: RouteCall, { desk, path, maxBytes }: UploadOptions, held: Held): Promise<void> {
  const { exchange } = call;
  const { chunked, contentLength, conditions = NO_CONDITIONS } = exchange.head;
  const { port1, port2 } = new MessageChannel();
  const target: FileTarget = new FileTarget(port1, () => body.onTaken());
  const body = new Body(exchange, target, maxBytes);
  exchange.onClose(() => target.close());
  try {
    const { session, server } = held;
    const size = chunked ? undefined : Number(contentLength) || 0;
    if (size !== undefined && size > maxBytes) throw tooLarge(maxBytes);
    const request = { session, server, path, port: port2, ...(size !== undefined && { size }) };
    const { stat } = await desk.ask('write-file', request, [port2]);
    const expect = expected(conditions, stat);
    if (!exchange.open) return;
    await body.read(chunked || Number(contentLength) > 0);
    target.commit(expect);
    const written = await target.done;
    const { size: bytes, mtimeMs } = written;
    await desk.tell(call, { path, change: stat ? 'changed' : 'created', size: bytes });
    exchange.json(stat ? 200 : 201, { path, size: bytes, mtimeMs, etag: etagOf(written) }, [['ETag', etagOf(written)]]);
  } catch (error) {
    body.drop();
    throw error;
  } finally {
    target.close();
  }
}

/** What must be there when the file gets its name; undefined: whatever. ERR_FILE_CHANGED. */
export function expected({ ifMatch, ifNoneMatch }: FileConditions, stat: FileStat | undefined): string | undefined {
  if (ifNoneMatch !== '') {
    if (ifNoneMatch !== '*') throw new FairleadError('ERR_BAD_FRAME', 'If-None-Match: only * is of use here');
    if (stat) throw new FairleadError('ERR_FILE_CHANGED', 'the file is there already');
    return ABSENT;
  }
  if (ifMatch === '') return undefined;
  if (!stat || (ifMatch !== '*' && !namesVersion(ifMatch, stat.version))) {
    throw new FairleadError('ERR_FILE_CHANGED', 'the file is another one than If-Match names');
  }
  return stat.version;
}

/** The version that a file must still have to be deleted; undefined: whatever. ERR_FILE_CHANGED, and the errors of the file. */
export async function matched(
  desk: FileDesk,
  of: WorkspaceOf & { path: string },
  { ifMatch }: FileConditions,
): Promise<string | undefined> {
  if (ifMatch === '') return undefined;
  const { port1, port2 } = new MessageChannel();
  try {
    const { stat } = await desk.ask('open-file', { ...of, port: port2 }, [port2]);
    return expected({ ...NO_CONDITIONS, ifMatch }, stat);
  } finally {
    port1.close();
  }
}

class Body {
  readonly #exchange: Exchange;
  readonly #target: FileTarget;
  readonly #maxBytes: number;
  #bytes = 0;
  #paused = false;
  #ended = false;
  #dropped = false;

  constructor(exchange: Exchange, target: FileTarget, maxBytes: number) {
    this.#exchange = exchange;
    this.#target = target;
    this.#maxBytes = maxBytes;
  }

  /** Resolves when all of it is on its way. Rejects with what the sandbox says. */
  async read(isThere: boolean): Promise<void> {
    if (!isThere) return;
    const read = new Promise<void>((resolve, reject) => {
      // When the client goes, the port is closed, and that rejects it.
      this.#target.done.catch(reject);
      this.#exchange.onData((chunk, isLast) => {
        this.#ended ||= isLast;
        this.#bytes += chunk.byteLength;
        if (this.#dropped) return;
        if (this.#bytes > this.#maxBytes) return reject(tooLarge(this.#maxBytes));
        // A copy, since uWebSockets reuses the chunk's memory.
        if (chunk.byteLength > 0) this.#target.write(new Uint8Array(chunk.slice(0)));
        if (isLast) return resolve();
        if (this.#paused || this.#target.unwritten < WINDOW_BYTES) return;
        this.#paused = true;
        this.#exchange.pauseBody();
      });
    });
    await read;
  }

  onTaken(): void {
    if (!this.#paused || this.#target.unwritten >= WINDOW_BYTES / 2) return;
    this.#paused = false;
    this.#exchange.resumeBody();
  }

  /** An answer comes before its end: a short rest is taken and dropped, else the connection ends with the answer. */
  drop(): void {
    this.#dropped = true;
    const { chunked, contentLength } = this.#exchange.head;
    const left = chunked ? 0 : (Number(contentLength) || 0) - this.#bytes; // of chunks nobody knows
    if (!this.#ended && left > LINGER_BYTES) this.#exchange.isLast = true;
    if (this.#paused) this.#exchange.resumeBody();
  }
}

function tooLarge(maxBytes: number): FairleadError {
  return new FairleadError('ERR_NO_SPACE', `a workspace has ${maxBytes} bytes at most (sandbox.workspaceMb)`);
}
