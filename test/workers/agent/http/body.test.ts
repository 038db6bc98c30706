import t from 'tap';
import * as fc from 'fast-check';
import { EventMeter } from '../../../../workers/agent/http/body.js';
import { retryAfterMs } from '../../../../workers/agent/mcp/remote/mcp-fetch.js';

const MAX = 100;

/** Cut at each of these places. */
function chunksOf(text: string, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  return places.slice(1).map((place, i) => Buffer.from(text.slice(places[i], place)));
}

const isFine = (chunks: readonly Uint8Array[]): boolean => {
  const meter = new EventMeter(MAX);
  return chunks.every((chunk) => meter.add(chunk));
};

void t.test('any number of short events pass, however they are cut', async () => {
  const event = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.constantFrom('\n\n', '\r\n\r\n', '\r\r'));
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), fc.array(fc.nat(2_000), { maxLength: 12 }), (events, cuts) => {
      // No chunk brings more than the limit: what it holds is in memory anyway.
      const text = events.map(([length, end]) => `data: ${'x'.repeat(length)}${end}`).join('');
      const every = Array.from({ length: Math.ceil(text.length / 40) }, (_, i) => i * 40);
      return isFine(chunksOf(text, [...cuts, ...every]));
    }),
  );
});

void t.test('an event that is too long is found, however it is cut', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.array(fc.nat(2_000), { maxLength: 12 }), (before, cuts) => {
      const text = `data: ${'x'.repeat(before % 50)}\n\ndata: ${'y\n'.repeat(MAX)}`;
      return !isFine(chunksOf(text, cuts));
    }),
  );
});

void t.test('Retry-After in seconds or as a date, within bounds', async (t) => {
  t.equal(retryAfterMs('2'), 2_000);
  t.equal(retryAfterMs('-1'), 0);
  t.equal(retryAfterMs('99999999'), 600_000);
  t.equal(retryAfterMs('soon'), undefined);
  t.equal(retryAfterMs(null), undefined);
  const date = retryAfterMs(new Date(Date.now() + 5_000).toUTCString());
  t.ok(date !== undefined && date > 3_000 && date <= 5_000);
});
