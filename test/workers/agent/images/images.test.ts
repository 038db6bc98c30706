import { fileURLToPath } from 'node:url';
import pino from 'pino';
import t, { type Test } from 'tap';
import { MAX_IMAGE_BASE64 } from '../../../../src/shared/image-facts.js';
import { Images } from '../../../../workers/agent/images/images.js';
import { jpeg, png } from '../../../helpers/images.js';
import { base64, metadataOf, photo, picture } from '../../../helpers/pictures.js';
import { until } from '../../../helpers/until.js';

const log = pino({ level: 'silent' });
const patient = { fitMs: 300_000, startMs: 300_000 };
const never = new AbortController().signal;
const options = { maxSide: 1_568, signal: never };

function open(t: Test, more: Partial<ConstructorParameters<typeof Images>[0]> = {}): Images {
  const images = new Images({ log, times: patient, ...more });
  t.teardown(() => images.close());
  return images;
}

function program(name: string): string {
  return fileURLToPath(new URL(`../../../helpers/${name}.js`, import.meta.url));
}

t.test('a picture that is larger than the model takes becomes smaller and stays what it is', async (t) => {
  const images = open(t);
  const large = picture(3_000, 2_000);
  const cases = {
    'image/png': large.clone().png(),
    'image/jpeg': large.clone().jpeg(),
    'image/webp': large.clone().webp(),
  };
  for (const [mimeType, made] of Object.entries(cases)) {
    const image = await images.fit(await base64(made), options);
    t.match(image, { ok: true, mimeType });
    t.match(image.ok && (await metadataOf(image.data)), { width: 1_568, height: 1_045 }, mimeType);
  }
  const gif = await images.fit(await base64(large.clone().gif()), options);
  t.match(gif, { ok: true, mimeType: 'image/png' }, 'of an animation the first picture is left');
});

t.test('a photo loses its place and its camera, and stands as it was held', async (t) => {
  const images = open(t);
  const given = await photo(300, 200, 6);
  t.ok((await metadataOf(given.toString('base64'))).exif);
  const image = await images.fit(given.toString('base64'), options);
  t.match(image, { ok: true, mimeType: 'image/jpeg' });
  const made = image.ok ? await metadataOf(image.data) : undefined;
  t.match(made, { width: 200, height: 300 });
  t.equal(made?.exif, undefined);
  t.equal(made?.orientation, undefined);
});

t.test('a picture with more bytes than the model takes becomes a JPEG', async (t) => {
  const images = open(t);
  const { default: sharp } = await import('sharp');
  const noise = sharp({
    create: { width: 1_500, height: 1_500, channels: 3, background: 'grey', noise: { type: 'gaussian', sigma: 80 } },
  });
  const given = await base64(noise.png());
  t.ok(given.length > MAX_IMAGE_BASE64);
  const image = await images.fit(given, options);
  t.match(image, { ok: true, mimeType: 'image/jpeg' });
  t.ok(image.ok && image.data.length <= MAX_IMAGE_BASE64);
});

t.test('a picture that fits already is the same, and costs no program', async (t) => {
  const images = open(t);
  for (const data of [await base64(picture(1_568, 20).png()), await base64(picture(20, 20).jpeg()), png(9, 9)]) {
    t.match(await images.fit(data, options), { ok: true, data });
  }
  t.equal(images.pid, undefined);
});

t.test('what names more pixels than a camera has is refused without a look inside', async (t) => {
  const images = open(t);
  t.match(await images.fit(png(60_000, 60_000), options), { ok: false, why: /60000 × 60000 pixels/ });
  t.match(await images.fit(jpeg(65_000, 65_000), options), { ok: false, why: /pixels/ });
  t.equal(images.pid, undefined);
});

t.test('a picture that is broken inside is told in words, and the next one is read', async (t) => {
  const images = open(t);
  t.match(await images.fit(png(2_000, 2_000), options), { ok: false, why: /^cannot be decoded \(.+\)$/ });
  t.match(await images.fit(await base64(picture(2_000, 10).png()), options), { ok: true });
});

t.test('formats that no model takes reach no decoder, whatever they are called', async (t) => {
  const images = open(t);
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>').toString('base64');
  for (const data of [svg, await base64(picture(20, 20).tiff()), await base64(picture(20, 20).avif())]) {
    t.match(await images.fit(data, options), { ok: false, why: /no PNG, JPEG, GIF or WebP/ });
  }
});

t.test('a decoder that dies costs its picture, and the next one has a new decoder', async (t) => {
  const images = open(t);
  const large = await base64(picture(2_000, 10).png());
  t.match(await images.fit(large, options), { ok: true });
  const first = images.pid!;
  // Its end is noticed later than the next picture is asked for.
  const lost = images.fit(large, options);
  process.kill(first, 'SIGKILL');
  t.match(await lost, { ok: false, why: /decoder has ended/ });
  t.match(await images.fit(large, options), { ok: true });
  t.not(images.pid, first);
});

t.test('a decoder that does not answer in time is ended', async (t) => {
  const images = open(t, { file: program('silent-image-program'), times: { ...patient, fitMs: 50 } });
  t.match(await images.fit(png(2_000, 10), options), { ok: false, why: /too long/ });
  t.equal(images.pid, undefined);
});

t.test('who gives up is told at once, and its picture is not read', async (t) => {
  const images = open(t, { file: program('silent-image-program') });
  const [first, second] = [new AbortController(), new AbortController()];
  const reads = images.fit(png(2_000, 10), { maxSide: 1_568, signal: first.signal });
  const waits = images.fit(png(2_000, 10), { maxSide: 1_568, signal: second.signal });
  second.abort();
  t.match(await waits, { ok: false, busy: true });
  first.abort();
  t.match(await reads, { ok: false, busy: true });
});

t.test('without sharp the model gets what it takes as it is, and the rest is refused in words', async (t) => {
  const images = open(t, { file: program('absent-image-program') });
  const given = (await photo(300, 200, 6)).toString('base64');
  t.match(await images.fit(given, options), { ok: true, data: given });
  t.match(await images.fit(png(8_001, 20), options), { ok: false, why: /8001 × 20 pixels.*sharp/ });
  t.equal(images.pid, undefined, 'it is not asked again');
});

t.test('a decoder that nobody needs any more is ended', async (t) => {
  const images = open(t, { times: { ...patient, idleMs: 1 } });
  t.match(await images.fit(await base64(picture(2_000, 10).png()), options), { ok: true });
  await until('the program has ended', () => images.pid === undefined, { timeoutMs: 60_000 });
});
