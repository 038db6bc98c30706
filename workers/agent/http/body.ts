/** Reads the body of an HTTP response within bounds: whole, or as a stream whose events are bounded. Agent threads. */
import type { RemoteFailure } from './failures.js';

/** The limit of a JSON response, and of one event of a stream. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** The limit of an error response: only its beginning is ever shown. */
export const MAX_ERROR_BYTES = 64 * 1024;

/** An empty line ends an event; SSE knows three line endings. */
const ENDS = ['\n\n', '\r\n\r\n', '\r\r'].map((end) => Buffer.from(end));
const LONGEST_END = 4;

/** Counts the bytes of the current event. */
export class EventMeter {
  readonly #max: number;
  #bytes = 0;
  /** The last bytes of the chunk before: an event's end may span two chunks. */
  #tail: Buffer = Buffer.alloc(0);

  constructor(max: number) {
    this.#max = max;
  }

  /** False when the event has become too long. */
  add(chunk: Uint8Array): boolean {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const after = lastEnd(bytes);
    if (after !== -1) this.#bytes = bytes.length - after;
    else {
      const seam = Buffer.concat([this.#tail, bytes.subarray(0, LONGEST_END - 1)]);
      this.#bytes = lastEnd(seam) === -1 ? this.#bytes + bytes.length : bytes.length;
    }
    this.#tail = Buffer.from(bytes.subarray(-(LONGEST_END - 1)));
    return this.#bytes <= this.#max;
  }
}

/** The offset behind the last event's end, or -1. */
function lastEnd(bytes: Buffer): number {
  return ENDS.reduce((last, end) => {
    const at = bytes.lastIndexOf(end);
    return at === -1 ? last : Math.max(last, at + end.length);
  }, -1);
}

export interface StreamOptions {
  /** Called once: at the end, at a failure, or when the reader cancels. */
  onEnd: (failure?: RemoteFailure) => void;
  toFailure: (error: unknown) => RemoteFailure;
  tooLong: () => RemoteFailure;
}

type Source = AsyncIterable<Uint8Array> & {
  destroy(error?: Error): unknown;
  on(event: 'error', listener: () => void): unknown;
};

/** An error reaches the reader through the iterator; without a reader it must not end the process. */
function quiet(body: Source): void {
  body.on('error', () => undefined);
}

/** The reader pulls, so that unread data stays with the server. */
export function boundedStream(body: Source, { onEnd, toFailure, tooLong }: StreamOptions): ReadableStream<Uint8Array> {
  quiet(body);
  const chunks = body[Symbol.asyncIterator]();
  const meter = new EventMeter(MAX_BODY_BYTES);
  const fail = (failure: RemoteFailure): never => {
    body.destroy();
    onEnd(failure);
    throw failure;
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let next: IteratorResult<Uint8Array>;
        try {
          next = await chunks.next();
        } catch (error) {
          return fail(toFailure(error));
        }
        if (next.done) {
          onEnd();
          controller.close();
          return;
        }
        if (!meter.add(next.value)) fail(tooLong());
        controller.enqueue(next.value);
      },
      cancel() {
        body.destroy();
        onEnd();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The whole body. Past the limit it throws `tooLong`; without `tooLong` it returns what it has. */
export async function boundedBody(
  body: Source,
  max: number,
  tooLong?: () => RemoteFailure,
): Promise<Uint8Array<ArrayBuffer>> {
  quiet(body);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes > max) {
      if (tooLong) throw tooLong(); // leaving the loop destroys the body
      break;
    }
  }
  return Buffer.concat(chunks);
}
