/** The images of a message and of a tool's result, made to fit the model. Agent threads. */
import { onAbort } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { UserBlock } from '../../../src/shared/protocol.js';
import type { FitOptions, Images } from './images.js';

/** Below the 30 s after which the front answers for the thread. */
const MESSAGE_MS = 25_000;
const RESULT_MS = 25_000;
/** A result with more has the others judged as they are. */
const MAX_OF_RESULT = 50;
const BUSY_RETRY_MS = 5_000;

type Fit = Pick<Images, 'fit'>;
type Loose = Record<string, unknown>;

/** The same content where nothing has changed. ERR_BAD_IMAGE names the block; ERR_UNAVAILABLE: too many images wait. */
export async function fitMessage(
  content: readonly UserBlock[],
  images: Fit,
  maxSide: number,
): Promise<readonly UserBlock[]> {
  if (!content.some(({ type }) => type === 'image')) return content;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), MESSAGE_MS);
  try {
    const fitted: UserBlock[] = [];
    for (const [index, block] of content.entries()) {
      const options = { maxSide, signal: controller.signal };
      fitted.push(block.type === 'image' ? await fitBlock(block, index, images, options) : block);
    }
    return fitted;
  } finally {
    clearTimeout(timer);
  }
}

async function fitBlock(
  block: Extract<UserBlock, { type: 'image' }>,
  index: number,
  images: Fit,
  options: FitOptions,
): Promise<UserBlock> {
  const image = await images.fit(block.data, options);
  if (image.ok) return { type: 'image', mimeType: image.mimeType, data: image.data };
  const text = `content.${index}.data: the image ${image.why}`;
  throw image.busy
    ? new FairleadError('ERR_UNAVAILABLE', text, { retryAfterMs: BUSY_RETRY_MS })
    : new FairleadError('ERR_BAD_IMAGE', text);
}

/** A tool's blocks. An image that cannot be made to fit stays: the model is told in words why it does not see it. */
export async function fitResult<T extends { content?: unknown }>(
  result: T,
  images: Fit,
  { maxSide, signal }: FitOptions,
): Promise<T> {
  if (!Array.isArray(result.content) || !result.content.some((block) => dataOf(block) !== undefined)) return result;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), RESULT_MS);
  const stop = onAbort(signal, () => controller.abort());
  const options = { maxSide, signal: controller.signal };
  const content: unknown[] = [];
  let left = MAX_OF_RESULT;
  try {
    for (const block of result.content) {
      const data = dataOf(block);
      const image = data !== undefined && left-- > 0 ? await images.fit(data, options) : undefined;
      content.push(image?.ok && image.data !== data ? withData(block as Loose, image) : block);
    }
  } finally {
    clearTimeout(timer);
    stop();
  }
  return { ...result, content };
}

/** Base64 of an image block, or of an embedded resource that is one. */
function dataOf(block: unknown): string | undefined {
  if (!isRecord(block)) return undefined;
  const { type, data, resource } = block;
  if (type === 'image') return typeof data === 'string' ? data : undefined;
  if (type !== 'resource' || !isRecord(resource)) return undefined;
  const { mimeType, blob } = resource;
  return typeof blob === 'string' && typeof mimeType === 'string' && mimeType.startsWith('image/') ? blob : undefined;
}

function withData(block: Loose, { data, mimeType }: { data: string; mimeType: string }): Loose {
  return block['type'] === 'image'
    ? { ...block, data, mimeType }
    : { ...block, resource: { ...(block['resource'] as Loose), blob: data, mimeType } };
}

function isRecord(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
