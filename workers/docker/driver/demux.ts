/** Splits an attached container's stream into stdout and stderr, with backpressure to the daemon. Docker thread. */
import { Readable, type Duplex } from 'node:stream';
import type { OutputThrottle, ThrottledStream } from './output-throttle.js';

/** Docker's frame: stream type (1 stdout, 2 stderr), three zero bytes, the length as big-endian 32 bits, the bytes. */
const HEADER_BYTES = 8;
const STDOUT = 1;
const STDERR = 2;

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

  const onData = (chunk: Buffer): void => {
    if (throttle && !throttle.take(throttled, chunk.length)) {
      waits = true;
      source.pause();
    }
    let offset = 0;
    while (offset < chunk.length) {
      if (left === 0) {
        const taken = chunk.copy(header, headerBytes, offset, offset + HEADER_BYTES - headerBytes);
        headerBytes += taken;
        offset += taken;
        if (headerBytes < HEADER_BYTES) return;
        headerBytes = 0;
        left = header.readUInt32BE(4);
        const type = header[0];
        if (type !== STDOUT && type !== STDERR) {
          source.destroy(new Error('Docker’s stream has a frame that is neither stdout nor stderr'));
          return;
        }
        target = type === STDERR ? stderr : stdout;
        continue;
      }
      const part = chunk.subarray(offset, offset + left);
      offset += part.length;
      left -= part.length;
      if (!target.push(part)) {
        full.add(target);
        source.pause();
      }
    }
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
