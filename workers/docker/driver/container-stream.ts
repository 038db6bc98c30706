/** Opens a stream to a container without leaking the socket of a refused request. Docker thread. */
import type { Duplex } from 'node:stream';
import { onAbort } from '../../../src/shared/abort.js';

/**
 * `open` gets a signal of its own, which ends a refused request: docker-modem never ends a request that may write, so its
 * socket would stay open. `signal` cancels the opening; the opened stream belongs to the caller.
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
    if (signal.aborted) stream.destroy(); // the caller has given up
    return stream;
  } catch (error) {
    request.abort();
    throw error;
  } finally {
    stop();
  }
}
