/** Pictures that can be decoded, by sharp itself. Runs in tests. */
import sharp, { type Metadata, type Sharp } from 'sharp';

/** One colour, left half and right half of two kinds of blue, so that a turn can be seen. */
export function picture(width: number, height: number): Sharp {
  const half = { create: { width: Math.ceil(width / 2), height, channels: 3 as const, background: '#0000ff' } };
  return sharp({ create: { width, height, channels: 3, background: '#336699' } }).composite([
    { input: half, left: 0, top: 0 },
  ]);
}

/** With a place and the way the camera was held. */
export function photo(width: number, height: number, orientation: number): Promise<Buffer> {
  return picture(width, height)
    .withMetadata({ orientation })
    .withExifMerge({ IFD0: { Copyright: 'a person' }, IFD3: { GPSLatitude: '51/1 30/1 3230/100' } })
    .jpeg()
    .toBuffer();
}

export async function base64(picture: Sharp): Promise<string> {
  return (await picture.toBuffer()).toString('base64');
}

export function metadataOf(data: string): Promise<Metadata> {
  return sharp(Buffer.from(data, 'base64')).metadata();
}
