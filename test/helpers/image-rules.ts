/** Judges the images of a request as the Messages API would. Another reader than the server's own finds their size. Runs in tests. */
import { imageSize } from 'image-size';

const MAX_BASE64 = 5 * 1024 * 1024;
const MAX_SIDE = 8_000;
const MANY = 20;
const MAX_SIDE_OF_MANY = 2_000;
const MAX_IMAGES = 100;

const MEDIA_TYPES: Record<string, string> = {
  jpg: 'image/jpeg',
  png: 'image/png',
  gif: 'image/gif',
  webp: 'image/webp',
};

export interface SentImage {
  /** `messages.3.content.1` */
  at: string;
  source: Record<string, unknown>;
}

export function checkImages(images: readonly SentImage[], problems: string[]): void {
  if (images.length > MAX_IMAGES) problems.push(`messages: too many images: ${images.length} > ${MAX_IMAGES}`);
  for (const { at, source } of images) {
    if (source['type'] === 'base64') checkBase64(at, source, images.length > MANY, problems);
  }
}

function checkBase64(at: string, source: Record<string, unknown>, isMany: boolean, problems: string[]): void {
  const where = `${at}.image.source.base64`;
  const { media_type: type, data } = source;
  if (!Object.values(MEDIA_TYPES).includes(String(type))) {
    problems.push(`${where}.media_type: Input should be one of ${Object.values(MEDIA_TYPES).join(', ')}`);
    return;
  }
  if (typeof data !== 'string' || data === '') {
    problems.push(`${where}.data: Field required`);
    return;
  }
  if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) {
    problems.push(`${where}.data: invalid base64`);
    return;
  }
  if (data.length > MAX_BASE64) {
    problems.push(`${where}: image exceeds 5 MB maximum: ${data.length} bytes > ${MAX_BASE64} bytes`);
  }
  const size = sizeOf(Buffer.from(data, 'base64'));
  if (!size || MEDIA_TYPES[size.type] === undefined) {
    problems.push(`${at}: Could not process image`);
    return;
  }
  if (MEDIA_TYPES[size.type] !== type) {
    problems.push(
      `${where}.data: The image was specified using the ${String(type)} media type, but it appears to be ${size.type}`,
    );
  }
  const max = isMany ? MAX_SIDE_OF_MANY : MAX_SIDE;
  if (Math.max(size.width, size.height) > max) {
    problems.push(
      `${where}.data: At least one of the image dimensions exceed max allowed size${isMany ? ' for many-image requests' : ''}: ${max} pixels`,
    );
  }
}

function sizeOf(bytes: Buffer): { type: string; width: number; height: number } | undefined {
  try {
    const { type = '', width, height } = imageSize(bytes);
    return width > 0 && height > 0 ? { type, width, height } : undefined;
  } catch {
    return undefined; // it throws whatever its reader of that type meets
  }
}
