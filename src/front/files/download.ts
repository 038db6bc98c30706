/** Sends a file: whole, or the range that is asked for. Of its bytes a window is here, whatever its size. Main thread. */
import { MessageChannel } from 'node:worker_threads';
import type { FileStat } from '../../../workers/docker/contract/files.js';
import { withDeadline } from '../../shared/abort.js';
import { errorToData, FairleadError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { freeNow } from '../../shared/threads/free-now.js';
import type { Exchange, FileConditions, Header } from '../http.js';
import type { RouteCall } from '../router.js';
import type { FileDesk, Held } from './file-desk.js';
import { downloadHeaders, etagOf, namesVersion, rangeOf } from './file-headers.js';
import { FileSource } from './file-port.js';

/** A reader that takes nothing for so long is cut. */
export const STALLED_MS = 60_000;
export const NO_CONDITIONS: FileConditions = { range: '', ifRange: '', ifMatch: '', ifNoneMatch: '' };

/** Undefined: see `FileDesk.look`. ERR_FILE_CHANGED, ERR_RANGE, and the errors of the file. */
export async function download(
  call: RouteCall,
  { desk, log, path }: { desk: FileDesk; log: Logger; path: string },
  held: Held,
): Promise<true | undefined> {
  const { exchange } = call;
  const { port1, port2 } = new MessageChannel();
  const source = new FileSource(port1);
  exchange.onClose(() => source.close());
  try {
    const { session, server } = held;
    const { stat } = await desk.ask('open-file', { session, server, path, port: port2 }, [port2]);
    if (!stat) return undefined;
    if (!exchange.open) return true;
    const wanted = begin(exchange, stat, downloadHeaders(path));
    if (!wanted) return true;
    held.begun();
    await send(exchange, source, wanted, log);
    return true;
  } finally {
    source.close();
  }
}

interface Wanted {
  from: number;
  length: number;
  status: number;
  headers: Header[];
}

/** Undefined: it is answered. */
function begin(exchange: Exchange, stat: FileStat, about: readonly Header[]): Wanted | undefined {
  const { conditions = NO_CONDITIONS, method } = exchange.head;
  const { size, version, mtimeMs } = stat;
  const tag: Header = ['ETag', etagOf(stat)];
  if (conditions.ifMatch !== '' && conditions.ifMatch !== '*' && !namesVersion(conditions.ifMatch, version)) {
    throw new FairleadError('ERR_FILE_CHANGED', 'the file is another one than If-Match names');
  }
  if (conditions.ifNoneMatch === '*' || namesVersion(conditions.ifNoneMatch, version)) {
    exchange.empty(304, [tag]);
    return undefined;
  }
  const isCurrent = conditions.ifRange === '' || namesVersion(conditions.ifRange, version);
  const part = conditions.range === '' || !isCurrent ? 'whole' : rangeOf(conditions.range, size);
  if (part === 'none') {
    const error = new FairleadError('ERR_RANGE', `the file has ${size} bytes`, { details: { size } });
    exchange.fail(error, [['Content-Range', `bytes */${size}`]]);
    return undefined;
  }
  const headers: Header[] = [
    ...about,
    tag,
    ['Last-Modified', new Date(mtimeMs).toUTCString()],
    ['Accept-Ranges', 'bytes'],
  ];
  const { from, length } = part === 'whole' ? { from: 0, length: size } : part;
  if (part !== 'whole') headers.push(['Content-Range', `bytes ${from}-${from + length - 1}/${size}`]);
  const status = part === 'whole' ? 200 : 206;
  if (method === 'HEAD' || length === 0) {
    exchange.headOnly(status, headers, length);
    return undefined;
  }
  return { from, length, status, headers };
}

/** What cannot be sent to its end cuts the connection, so that a part is not taken for the whole. */
async function send(exchange: Exchange, source: FileSource, wanted: Wanted, log: Logger): Promise<void> {
  const { from, length, status, headers } = wanted;
  let resume: (() => void) | undefined;
  exchange.startSized(status, headers, length, () => resume?.());
  exchange.onClose(() => resume?.());
  source.ask(from, length);
  try {
    for (let chunk = await source.next(); chunk && exchange.open; chunk = await source.next()) {
      const taken = new Promise<void>((resolve) => (resume = resolve));
      if (!exchange.writeSized(chunk) && exchange.open) {
        await withDeadline({ timeoutMs: STALLED_MS, late: stalled }, () => taken);
      }
      source.ack(chunk.length);
      freeNow(chunk);
    }
    if (exchange.open) exchange.cut(); // fewer bytes than were announced
  } catch (error) {
    if (!exchange.open) return;
    log.warn({ requestId: exchange.head.requestId, err: errorToData(error).message }, 'a download was cut');
    exchange.cut();
  }
}

export function stalled(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the reader has taken nothing for too long');
}
