/** Which image of the sandbox a new session gets, and which its user may choose. Pure; agent threads. */
import { defaultImage, type SandboxImages } from '../../../src/shared/config-images.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { usableImages } from '../../../src/shared/kept-for-groups.js';
import type { Standing } from '../../../src/shared/person.js';
import type { OfferedImage } from '../contract/sessions.js';

/** Undefined: that of its server. ERR_BAD_FRAME: an image that is not there, or is kept for others, which are refused alike. */
export function chooseImage(images: SandboxImages, who: Standing, wanted: string | undefined): string | undefined {
  const usable = usableImages(images, who);
  if (wanted === undefined) return usable.find((name) => name === defaultImage(images));
  if (usable.includes(wanted)) return wanted;
  const offered = usable.length === 0 ? 'there is none to choose' : `there are ${usable.join(', ')}`;
  throw new FairleadError(
    'ERR_BAD_FRAME',
    `image: ${JSON.stringify(wanted)} is not one that this user may choose; ${offered}`,
  );
}

export function offeredImages(images: SandboxImages, who: Standing): OfferedImage[] {
  const byDefault = defaultImage(images);
  return usableImages(images, who).map((name) => ({
    name,
    description: images[name]!.description,
    default: name === byDefault,
  }));
}

/** What the model is told of a chosen image. '' where nothing is known of it. */
export function imageNote(images: SandboxImages, name: string | undefined): string {
  const description = name !== undefined && Object.hasOwn(images, name) ? images[name]!.description : '';
  return description === '' ? '' : `The image of this session's sandbox is ${name}: ${description}`;
}
