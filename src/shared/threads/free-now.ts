/** Gives memory back at once. Every thread. */
import { MessageChannel } from 'node:worker_threads';

/** Of small buffers Node makes several from one piece of memory. */
const SHARED_BYTES = Buffer.poolSize;

let nowhere: MessageChannel['port1'] | undefined;

/**
 * The collector looks at memory outside of its heap only when 64 MB of it are new, in each thread: a file that streams through costs as
 * much. What is transferred to a port that nobody reads is free at once. Nobody may use the buffer afterwards: all views of it are empty.
 */
export function freeNow(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength <= SHARED_BYTES) return;
  nowhere ??= closedPort();
  nowhere.postMessage(null, [buffer]);
}

function closedPort(): MessageChannel['port1'] {
  const { port1, port2 } = new MessageChannel();
  port1.close();
  port2.close();
  return port1;
}
