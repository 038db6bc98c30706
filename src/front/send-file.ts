/** Sends a file that is held in memory, compressed where the client takes that, or says that the client has it. Main thread. */
import { encodingFor, type ConsoleFile } from './console-files.js';
import type { Exchange, Header } from './http.js';

export function sendFile(exchange: Exchange, file: ConsoleFile, headers: readonly Header[]): void {
  const { acceptEncoding, ifNoneMatch } = exchange.head;
  const encoding = encodingFor(acceptEncoding, file);
  // A copy that is compressed is another one to a cache.
  const etag = encoding === undefined ? file.etag : file.etag.replace(/"$/, `-${encoding}"`);
  const all: Header[] = [...headers, ['ETag', etag], ['Vary', 'Accept-Encoding']];
  if (ifNoneMatch.split(',').some((each) => each.trim().replace(/^W\//, '') === etag)) return exchange.empty(304, all);
  if (encoding === undefined) return exchange.answer(200, file.type, file.body, all);
  return exchange.answer(200, file.type, file.compressed[encoding], [...all, ['Content-Encoding', encoding]]);
}
