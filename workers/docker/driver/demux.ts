/** Splits an attached container's stream into stdout and stderr, with backpressure to the daemon. Docker thread. */
import { Readable, type Duplex } from 'node:stream';
import type { OutputThrottle, ThrottledStream } from './output-throttle.js';

/** Docker's frame: stream type (1 stdout, 2 stderr), three zero bytes, the length as big-endian 32 bits, the bytes. */
const HEADER_BYTES = 8;
const STDOUT = 1;
const STDERR = 2;
/** What one frame costs beside its bytes, as bytes: a program that writes single bytes must not be cheaper than it is. */
const FRAME_COST = 100;

export interface Demuxed {
  stdout: Readable;
  stderr: Readable;
  /** Resolves when both have ended, with the error when the connection broke. */
  ended: Promise<Error | undefined>;
}

/** docker-modem's demuxStream keeps whole frames in memory and has no backpressure. */
export function demux(source: Duplex, throttle?: OutputThrottle): Demuxed {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerBytes = 0;
  let left = 0;
  const full = new Set<Readable>();
  let waits = false;
  const resume = (): void => {
    if (full.size === 0 && !waits) source.resume();
  };
  const throttled: ThrottledStream = {
    resume() {
      waits = false;
      resume();
    },
  };
  const make = (): Readable => {
    const stream: Readable = new Readable({
      read() {
        full.delete(stream);
        resume();
      },
    });
    return stream;
  };
  const stdout = make();
  const stderr = make();
  let target = stdout;

  const push = (part: Buffer): void => {
    if (part.length === 0 || target.push(part)) return;
    full.add(target);
    source.pause();
  };

  const onData = (chunk: Buffer): void => {
    let offset = 0;
    let frames = 0;
    // Frames of one stream that follow each other are moved together in place, and leave as one.
    let from = 0;
    let to = 0;
    const pay = (): void => {
      if (!throttle || throttle.take(throttled, chunk.length + frames * FRAME_COST)) return;
      waits = true;
      source.pause();
    };
    while (offset < chunk.length) {
      if (left === 0) {
        const taken = chunk.copy(header, headerBytes, offset, offset + HEADER_BYTES - headerBytes);
        headerBytes += taken;
        offset += taken;
        if (headerBytes < HEADER_BYTES) break;
        headerBytes = 0;
        frames++;
        left = header.readUInt32BE(4);
        const type = header[0];
        if (type !== STDOUT && type !== STDERR) {
          source.destroy(new Error('Docker’s stream has a frame that is neither stdout nor stderr'));
          return;
        }
        const next = type === STDERR ? stderr : stdout;
        if (next !== target) {
          push(chunk.subarray(from, to));
          from = to;
          target = next;
        }
        continue;
      }
      const length = Math.min(left, chunk.length - offset);
      if (from === to) from = to = offset;
      else chunk.copyWithin(to, offset, offset + length);
      to += length;
      offset += length;
      left -= length;
    }
    push(chunk.subarray(from, to));
    pay();
  };

  const ended = new Promise<Error | undefined>((resolve) => {
    const end = (error?: Error): void => {
      source.off('data', onData);
      throttle?.leave(throttled);
      stdout.push(null);
      stderr.push(null);
      resolve(error);
    };
    source.once('end', () => end());
    source.on('error', (error) => end(error)); // stays, since a late write into a closed stream fails later
    source.once('close', () => end());
  });
  source.on('data', onData);
  return { stdout, stderr, ended };
}
