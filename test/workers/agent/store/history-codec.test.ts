import * as fc from 'fast-check';
import t from 'tap';
import { isFairleadError } from '../../../../src/shared/errors.js';
import {
  contentBytes,
  decodeBlock,
  encodeBlock,
  MAX_CONTENT_BYTES,
  mergeBlocks,
} from '../../../../workers/agent/store/history-codec.js';
import { SEAL_BYTES, sealTail } from '../../../../workers/agent/store/history-tail.js';
import type { TranscriptMessage } from '../../../../workers/agent/store/store.js';

/** UTF-16 units, so lone surrogates are among them. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
);
const message: fc.Arbitrary<TranscriptMessage> = fc.record({
  role: fc.constantFrom('user', 'assistant'),
  content: fc.array(fc.oneof(fc.record({ type: fc.constant('text'), text }), fc.jsonValue() as fc.Arbitrary<unknown>)),
});
const messages = fc.array(message, { maxLength: 8 });

function said(bytes: number): TranscriptMessage[] {
  const words = ['list ', 'the ', 'files ', 'in ', '/workspace ', '\ud83d\ude80 ', 'ünïcode '];
  let line = '';
  for (let i = 0; line.length < bytes; i++) line += `${words[(i * 7 + (i >> 3)) % words.length]}${i} `;
  return [{ role: 'assistant', content: [{ type: 'text', text: line.slice(0, bytes) }] }];
}

function asJson(value: readonly TranscriptMessage[]): unknown {
  return JSON.parse(JSON.stringify(value));
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'no error';
  } catch (error) {
    return isFairleadError(error) ? error.code : `foreign ${String(error)}`;
  }
}

t.test('any messages survive the round trip, lone surrogates too', async (t) => {
  fc.assert(
    fc.property(messages, (value) => {
      t.strictSame(decodeBlock(encodeBlock(value)), asJson(value));
    }),
    { numRuns: 300 },
  );
  t.strictSame(decodeBlock(encodeBlock([{ role: 'user', content: ['\ud800 \udfff \0'] }])), [
    { role: 'user', content: ['\ud800 \udfff \0'] },
  ]);
});

t.test('blocks of every size up to 16 MB come back', async (t) => {
  for (const bytes of [0, 1, 13, 255, 4096, 65_535, 65_536, 1_000_000, 16 * 1024 * 1024]) {
    const value = said(bytes);
    const block = encodeBlock(value);
    t.equal(contentBytes(block), Buffer.byteLength(JSON.stringify(value)));
    t.ok(JSON.stringify(decodeBlock(block)) === JSON.stringify(value), `${bytes} bytes are the same`);
    if (bytes > 1000) t.ok(block.length < bytes, `${bytes} bytes take ${block.length}`);
  }
});

t.test('content that does not compress is stored as it is', async (t) => {
  const block = encodeBlock([]);
  t.equal(block[2], 0);
  t.strictSame(decodeBlock(block), []);
});

t.test('merged blocks decode to the same messages in the same order', async (t) => {
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 6 }), (turns) => {
      const merged = mergeBlocks(turns.map(encodeBlock));
      t.strictSame(decodeBlock(merged), asJson(turns.flat()));
      t.strictSame(decodeBlock(mergeBlocks([merged, merged])), asJson([...turns.flat(), ...turns.flat()]));
    }),
    { numRuns: 200 },
  );
});

t.test('a flipped bit is found, wherever it is', async (t) => {
  const block = encodeBlock(said(500));
  for (let bit = 0; bit < block.length * 8; bit++) {
    const damaged = Buffer.from(block);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (codeOf(() => decodeBlock(damaged)) !== 'ERR_HISTORY_CORRUPT') t.fail(`bit ${bit} was not noticed`);
  }
  t.pass(`${block.length * 8} bits`);
});

t.test('a block that was cut or grew is found', async (t) => {
  const block = encodeBlock(said(500));
  for (let length = 0; length < block.length; length++) {
    const cut = Buffer.from(block.subarray(0, length));
    if (codeOf(() => decodeBlock(cut)) !== 'ERR_HISTORY_CORRUPT') t.fail(`cut at ${length} was not noticed`);
  }
  t.equal(
    codeOf(() => decodeBlock(Buffer.concat([block, Buffer.from([0])]))),
    'ERR_HISTORY_CORRUPT',
  );
});

t.test('random bytes, with or without a right header and checksum, never come out as messages', async (t) => {
  const { crc32 } = await import('node:zlib');
  const reseal = (block: Buffer): Buffer => {
    block.writeUInt32LE(crc32(block.subarray(12), crc32(block.subarray(0, 8))), 8);
    return block;
  };
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat({ max: 3 }),
      fc.nat({ max: 70_000 }),
      (bytes, codec, length) => {
        t.equal(
          codeOf(() => decodeBlock(Buffer.from(bytes))),
          'ERR_HISTORY_CORRUPT',
        );
        const header = Buffer.from([0xf1, 1, codec, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header.writeUInt32LE(length, 4);
        t.equal(
          codeOf(() => decodeBlock(reseal(Buffer.concat([header, bytes])))),
          'ERR_HISTORY_CORRUPT',
        );
      },
    ),
    { numRuns: 500 },
  );
  const huge = Buffer.from([0xf1, 1, 1, 0, 255, 255, 255, 255, 0, 0, 0, 0, 1, 2, 3]);
  t.equal(
    codeOf(() => decodeBlock(reseal(huge))),
    'ERR_HISTORY_CORRUPT',
    'four gigabytes are not allocated',
  );
  const notMessages = encodeBlock(JSON.parse('[{"role":"system","content":[]}]') as TranscriptMessage[]);
  t.equal(
    codeOf(() => decodeBlock(notMessages)),
    'ERR_HISTORY_CORRUPT',
  );
});

t.test('a block of a later format version is refused with a hint to update', async (t) => {
  const later = encodeBlock(said(10));
  later[1] = 2;
  t.throws(() => decodeBlock(later), { code: 'ERR_HISTORY_CORRUPT', message: /format version 2/ });
});

t.test('more than a block may hold is refused, not cut', async (t) => {
  const half = { role: 'user' as const, content: ['x'.repeat(MAX_CONTENT_BYTES / 2)] };
  t.equal(
    codeOf(() => encodeBlock([half, half])),
    'ERR_TOO_LARGE',
  );
});

t.test('a tail is sealed into few blocks, keeps its order, and leaves a small rest open', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 90_000 }), { maxLength: 30 }), (sizes) => {
      const turns = sizes.map((size, n) => [{ role: 'user' as const, content: [n, 'x'.repeat(size)] }]);
      const { blocks, tail } = sealTail(turns.map(encodeBlock));
      t.strictSame(
        blocks.flatMap(decodeBlock).map((m) => m.content[0]),
        sizes.map((_size, n) => n),
      );
      const total = turns.reduce((sum, turn) => sum + JSON.stringify(turn).length, 0);
      const sealed = blocks.length - tail.blocks;
      t.ok(sealed <= (2 * total) / SEAL_BYTES + 1, `${sealed} sealed blocks for ${total} bytes`);
      t.ok(tail.bytes < SEAL_BYTES);
      t.equal(
        tail.bytes,
        blocks.slice(sealed).reduce((sum, block) => sum + contentBytes(block), 0),
      );
    }),
    { numRuns: 100 },
  );
});
