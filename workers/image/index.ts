/**
 * Entry of an image program: a process of its own, since what decodes pictures of strangers is native code. It makes them smaller,
 * turns them as they were held, and leaves out what they say of their making. Its agent thread asks for one at a time, and ends it.
 */
import { writeFileSync } from 'node:fs';
import type { Sharp, SharpOptions } from 'sharp';
import type { ImageAnswer, ImageRequest } from './messages.js';

type Load = (bytes: Uint8Array, options: SharpOptions) => Sharp;

/** No other decoder of libvips is reached, whatever the bytes are. */
const DECODERS = ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'];
const GIF_DECODER = 'VipsForeignLoadNsgifBuffer';
const MAX_WORDS = 200;
const WHITE = '#ffffff';

async function load(): Promise<Load> {
  const { default: sharp } = await import('sharp');
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: [...DECODERS, GIF_DECODER] });
  return sharp;
}

async function fit(open: Load, { bytes, maxSide, maxPixels, maxBytes }: ImageRequest): Promise<ImageAnswer> {
  // Of an animation the first picture: the model sees no other.
  const picture = open(bytes, { limitInputPixels: maxPixels, failOn: 'error', pages: 1 })
    .autoOrient()
    .resize({ width: maxSide, height: maxSide, fit: 'inside', withoutEnlargement: true });
  const { format } = await picture.metadata();
  if (format === 'jpeg') return made(await picture.jpeg({ quality: 90 }).toBuffer(), 'image/jpeg');
  if (format === 'webp') return made(await picture.webp({ quality: 90 }).toBuffer(), 'image/webp');
  const whole = await picture.clone().png().toBuffer();
  if (whole.length <= maxBytes) return made(whole, 'image/png');
  return made(await picture.flatten({ background: WHITE }).jpeg({ quality: 90 }).toBuffer(), 'image/jpeg');
}

function made(bytes: Buffer, mimeType: 'image/jpeg' | 'image/webp' | 'image/png'): ImageAnswer {
  return { type: 'made', bytes, mimeType };
}

function words(error: unknown): string {
  return (error as Error).message.split('\n')[0]!.slice(0, MAX_WORDS);
}

function answer(message: ImageAnswer): void {
  process.send?.(message);
}

/** When memory is short, this process is the one to end: its picture is told as one that cannot be read. */
function goFirst(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // no Linux, or a /proc that may not be written: the kernel chooses by size
  }
}

process.on('disconnect', () => process.exit());
goFirst();
try {
  const open = await load();
  process.on('message', (request: ImageRequest) => {
    void fit(open, request)
      .catch((error: unknown): ImageAnswer => ({ type: 'bad', why: words(error) }))
      .then(answer);
  });
  answer({ type: 'ready' });
} catch (error) {
  answer({ type: 'ready', why: words(error) });
}
