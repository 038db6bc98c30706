/** The body of an HTTP answer, bounded: as one piece, or as a stream of which no event may be too long. Agent threads. */
import type { RemoteFailure } from './failures.js';

/** Of a JSON answer or one event of a stream. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** Of an answer that is an error: only its beginning is ever told. */
export const MAX_ERROR_BYTES = 64 * 1024;

/** What ends an event of a stream, by the three ways to end a line. */
const ENDS = ['\n\n', '\r\n\r\n', '\r\r'].map((end) => Buffer.from(end));
const LONGEST_END = 4;

/** Counts the bytes of the event that is under way. */
export class EventMeter {
  readonly #max: number;
  #bytes = 0;
  /** An end may be cut in two by the end of a chunk. */
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

/** Where the last event of them ends, or -1. */
function lastEnd(bytes: Buffer): number {
  return ENDS.reduce((last, end) => {
    const at = bytes.lastIndexOf(end);
    return at === -1 ? last : Math.max(last, at + end.length);
  }, -1);
}

export interface StreamOptions {
  /** Once, when no more will come: at its end, its failure, or when nobody wants it any more. */
  onEnd: (failure?: RemoteFailure) => void;
  toFailure: (error: unknown) => RemoteFailure;
  tooLong: () => RemoteFailure;
}

type Source = AsyncIterable<Uint8Array> & {
  destroy(error?: Error): unknown;
  on(event: 'error', listener: () => void): unknown;
};

/** Whoever reads it is told of its errors; who does not read it any more does not want to know. */
function quiet(body: Source): void {
  body.on('error', () => undefined);
}

/** Pulled by its reader: what is not read stays with the server. */
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

/** The whole of it. Past the limit: `tooLong`, or cut off there when it is undefined. */
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
