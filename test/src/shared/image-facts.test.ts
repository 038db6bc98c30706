import * as fc from 'fast-check';
import t from 'tap';
import { judgeImage, readImageFacts } from '../../../src/shared/image-facts.js';
import { IMAGE_MAKERS, jpeg, png } from '../../helpers/images.js';

for (const [type, make] of Object.entries(IMAGE_MAKERS)) {
  t.test(`a ${type} tells its type and size`, async (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16_000 }), fc.integer({ min: 1, max: 16_000 }), (width, height) => {
        const facts = readImageFacts(make(width, height));
        const isRight = facts?.type === `image/${type}` && facts.width === width && facts.height === height;
        if (!isRight) throw new Error(JSON.stringify(facts));
      }),
    );
    t.pass();
  });
}

t.test('the size of a jpeg is found behind a large profile', async (t) => {
  t.same(readImageFacts(jpeg(640, 480, 200_000)), { type: 'image/jpeg', width: 640, height: 480 });
});

t.test('the lossy and the lossless kind of webp tell their size', async (t) => {
  const lossy = Buffer.alloc(32);
  lossy.write('RIFF\0\0\0\0WEBPVP8 ', 'latin1');
  lossy.writeUInt16LE(0x4000 | 320, 26);
  lossy.writeUInt16LE(200, 28);
  t.match(readImageFacts(lossy.toString('base64')), { width: 320, height: 200 });
  const lossless = Buffer.alloc(32);
  lossless.write('RIFF\0\0\0\0WEBPVP8L', 'latin1');
  lossless.writeUInt32LE(((200 - 1) << 14) | (320 - 1), 21);
  t.match(readImageFacts(lossless.toString('base64')), { width: 320, height: 200 });
});

t.test('an image that the model does not take is told with the reason', async (t) => {
  t.match(judgeImage(png(8_000, 1)), { ok: true });
  t.match(judgeImage(png(1, 8_001)), { ok: false, why: /1 × 8001 pixels/ });
  t.match(judgeImage(png(1, 1, 4_000_000)), { ok: false, why: /5242880 at most/ });
  t.match(judgeImage('no base64'), { ok: false, why: /base64/ });
  t.match(judgeImage('AAAA'), { ok: false, why: /no PNG/ });
  t.match(judgeImage(png(0, 1)), { ok: false, why: /no PNG/ });
});

t.test('no bytes make the reading fail or hang', async (t) => {
  const start = fc.constantFrom('', ...Object.values(IMAGE_MAKERS).map((make) => make(10, 10)));
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 40 }), (head, tail, cut) => {
      const bytes = Buffer.concat([Buffer.from(head, 'base64').subarray(0, cut), tail]);
      readImageFacts(bytes.toString('base64'));
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});
