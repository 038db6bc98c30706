import * as fc from 'fast-check';
import t from 'tap';
import { hasMetadata } from '../../../src/shared/image-metadata.js';
import { photo, picture } from '../../helpers/pictures.js';
import { IMAGE_MAKERS } from '../../helpers/images.js';

t.test('what a camera writes is found in each format that has it', async (t) => {
  const exif = { IFD0: { Copyright: 'a person' } };
  t.equal(hasMetadata(await photo(20, 20, 1), 'image/jpeg'), true);
  t.equal(hasMetadata(await picture(20, 20).withExif(exif).png().toBuffer(), 'image/png'), true);
  t.equal(hasMetadata(await picture(20, 20).withExif(exif).webp().toBuffer(), 'image/webp'), true);
});

t.test('a picture that says nothing of its making is left alone', async (t) => {
  t.equal(hasMetadata(await picture(20, 20).jpeg().toBuffer(), 'image/jpeg'), false);
  t.equal(hasMetadata(await picture(20, 20).png().toBuffer(), 'image/png'), false);
  t.equal(hasMetadata(await picture(20, 20).webp().toBuffer(), 'image/webp'), false);
  t.equal(hasMetadata(await picture(20, 20).gif().toBuffer(), 'image/gif'), false);
});

t.test('what stands behind the pixels of a png is found, too', async (t) => {
  const png = await picture(20, 20).png().toBuffer();
  const chunk = Buffer.alloc(12);
  chunk.write('eXIf', 4, 'latin1');
  t.equal(hasMetadata(Buffer.concat([png, chunk]), 'image/png'), true);
});

t.test('no bytes make the search fail or hang', async (t) => {
  const types = Object.entries(IMAGE_MAKERS).map(([type, make]) => ({ type: `image/${type}`, head: make(10, 10) }));
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 40 }), (of, tail, cut) => {
      const bytes = Buffer.concat([Buffer.from(of.head, 'base64').subarray(0, cut), tail]);
      hasMetadata(bytes, of.type as Parameters<typeof hasMetadata>[1]);
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});
