/** A stream to a container: the request that opened it ends with it, also where Docker refuses. Docker thread. */
import type { Duplex } from 'node:stream';
import { onAbort } from '../../../src/shared/abort.js';

/**
 * `open` gets a signal of its own: docker-modem never ends a request that may write, so that of a refused one the socket
 * would stay for as long as both ends live. Abort `signal` to give up; once the stream is there, it is the caller's.
 */
export async function openContainerStream(
  signal: AbortSignal,
  open: (signal: AbortSignal) => Promise<NodeJS.ReadWriteStream>,
): Promise<Duplex> {
  signal.throwIfAborted();
  const request = new AbortController();
  const stop = onAbort(signal, () => request.abort(signal.reason));
  try {
    const stream = (await open(request.signal)) as Duplex;
    if (signal.aborted) stream.destroy(); // nobody waits for it any more
    return stream;
  } catch (error) {
    request.abort();
    throw error;
  } finally {
    stop();
  }
}
