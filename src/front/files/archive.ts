/** Sends a folder as one archive, which is made as its reader takes it. Main thread. */
import { MessageChannel } from 'node:worker_threads';
import type { ArchiveFormat } from '../../../workers/docker/contract/files.js';
import { withDeadline } from '../../shared/abort.js';
import { errorToData } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { freeNow } from '../../shared/threads/free-now.js';
import { badFrame } from '../frames.js';
import type { Exchange } from '../http.js';
import type { RouteCall } from '../router.js';
import { stalled, STALLED_MS } from './download.js';
import type { FileDesk, Held } from './file-desk.js';
import { downloadHeaders } from './file-headers.js';
import { FileSource } from './file-port.js';

export interface ArchiveAsk {
  desk: FileDesk;
  log: Logger;
  /** Of the folder, '' for the whole workspace. */
  path: string;
  format: ArchiveFormat;
}

/** `text`: the query's `format`. ERR_BAD_FRAME for one that is not made. */
export function formatOf(text: string | null): ArchiveFormat {
  if (text === null || text === 'tar.gz') return 'tar.gz';
  if (text === 'zip') return 'zip';
  throw badFrame('format: tar.gz or zip');
}

/** Undefined: see `FileDesk.look`. The errors of the folder. */
export async function archive(
  call: RouteCall,
  { desk, log, path, format }: ArchiveAsk,
  held: Held,
): Promise<true | undefined> {
  const { exchange } = call;
  const { port1, port2 } = new MessageChannel();
  const source = new FileSource(port1);
  exchange.onClose(() => source.close());
  try {
    const { session, server } = held;
    const { packed } = await desk.ask('pack-files', { session, server, path, format, port: port2 }, [port2]);
    if (!packed) return undefined;
    if (!exchange.open) return true;
    held.begun();
    await send(exchange, source, archiveName(path, format), log);
    return true;
  } finally {
    source.close();
  }
}

/** The folder's own name, in its path as lists show it. */
function archiveName(path: string, format: ArchiveFormat): string {
  const name = path.split('/').findLast((part) => part !== '' && part !== '.') ?? 'workspace';
  return `${name}.${format}`;
}

/** What cannot be made to its end cuts the connection, so that a part is not taken for the whole. */
async function send(exchange: Exchange, source: FileSource, name: string, log: Logger): Promise<void> {
  let resume: (() => void) | undefined;
  exchange.startStream(downloadHeaders(name), () => resume?.());
  exchange.onClose(() => resume?.());
  try {
    for (let chunk = await source.next(); chunk && exchange.open; chunk = await source.next()) {
      const taken = new Promise<void>((resolve) => (resume = resolve));
      if (!exchange.write(chunk) && exchange.open) {
        await withDeadline({ timeoutMs: STALLED_MS, late: stalled }, () => taken);
      }
      source.ack(chunk.length);
      freeNow(chunk);
    }
    exchange.endStream();
  } catch (error) {
    if (!exchange.open) return;
    log.warn({ requestId: exchange.head.requestId, err: errorToData(error).message }, 'an archive was cut');
    exchange.cut();
  }
}
