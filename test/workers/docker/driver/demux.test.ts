import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import t from 'tap';
import { demux } from '../../../../workers/docker/driver/demux.js';
import { OutputThrottle } from '../../../../workers/docker/driver/output-throttle.js';

function frame(type: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header[0] = type;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

t.test('frames cut at any place come out whole, each on its own stream', async () => {
  const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 300 })), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), async (sent, cuts) => {
      const source = new PassThrough();
      const { stdout, stderr, ended } = demux(source);
      const both = Promise.all([buffer(stdout), buffer(stderr)]);
      const bytes = Buffer.concat(sent.map(([type, data]) => frame(type, data)));
      for (let offset = 0, i = 0; offset < bytes.length; i++) {
        const size = cuts[i % cuts.length] ?? 1;
        source.write(bytes.subarray(offset, offset + size));
        offset += size;
      }
      source.end();
      const [out, err] = await both;
      const of = (wanted: number): Buffer =>
        Buffer.concat(sent.filter(([type]) => type === wanted).map(([, data]) => data));
      return out.equals(of(1)) && err.equals(of(2)) && (await ended) === undefined;
    }),
    { numRuns: 60 },
  );
});

t.test('a reader that stands still stops the source, and loses nothing', async (t) => {
  const source = new PassThrough();
  const { stdout, stderr } = demux(source);
  stderr.resume();
  const sent = Buffer.alloc(1_048_576, 'x');
  source.end(frame(1, sent));
  await once(stdout, 'readable');
  t.equal(source.isPaused(), true);
  t.ok(stdout.readableLength < sent.length + 65_536);
  t.equal((await buffer(stdout)).length, sent.length);
});

t.test('a stream that is no frames ends with an error, not with wrong output', async (t) => {
  const source = new PassThrough();
  const { stdout, ended } = demux(source);
  source.write('HTTP/1.1 500 what\r\n');
  t.ok(await ended);
  t.equal((await buffer(stdout)).length, 0);
});

t.test('a connection that is cut ends both streams', async (t) => {
  const source = new PassThrough();
  const { stdout, stderr, ended } = demux(source);
  source.destroy(new Error('cut'));
  t.match(await ended, { message: 'cut' });
  t.same(await Promise.all([buffer(stdout), buffer(stderr)]), [Buffer.alloc(0), Buffer.alloc(0)]);
});

t.test('single bytes on one stream come as one chunk, and count for more than their bytes', async (t) => {
  const source = new PassThrough();
  const throttle = new OutputThrottle();
  const taken: number[] = [];
  const take = throttle.take.bind(throttle);
  throttle.take = (stream, bytes) => {
    taken.push(bytes);
    return take(stream, bytes);
  };
  const { stdout } = demux(source, throttle);
  const chunks: Buffer[] = [];
  stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const frames = Buffer.concat(Array.from({ length: 1_000 }, (_, index) => frame(1, Buffer.from([index % 256]))));
  source.end(frames);
  await once(stdout, 'end');
  t.equal(chunks.length, 1);
  t.equal(Buffer.concat(chunks).length, 1_000);
  t.ok(taken[0]! > 10 * frames.length, `${taken[0]} for ${frames.length} bytes`);
});
