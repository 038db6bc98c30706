/** Keeps the images of a request within what the API takes at once: the oldest become words. Pure; agent threads. */
import type { ContentBlockParam, ImageBlockParam, TextBlockParam } from '@anthropic-ai/sdk/resources/messages';
import { MANY_IMAGES, MAX_IMAGES, MAX_SIDE_OF_MANY } from '../../../src/shared/image-facts.js';
import { factsOf } from './clean-blocks.js';

/** The API takes 32 MB a request; the rest is for text and tools. */
const MAX_BASE64 = 20 * 1024 * 1024;
/** Images go in steps of so many: a new image would else change an old message each time, and with it the prompt cache. */
const STEP = 10;

const LEFT_OUT: TextBlockParam = {
  type: 'text',
  text: '[An older image was left out here, because a request can hold only so many. Ask for it again if you need it.]',
};

interface Found {
  image: ImageBlockParam;
  /** Puts the text in its place. */
  leaveOut: () => void;
}

/** Changes the content of the messages, which are copies, and replaces the blocks that hold an image. */
export function limitImages(messages: readonly { content: ContentBlockParam[] }[]): void {
  const found = messages.flatMap(({ content }) => imagesOf(content));
  let drop = 0;
  while (drop < found.length - 1 && !fits(found.slice(drop))) drop = Math.min(drop + STEP, found.length - 1);
  for (const { leaveOut } of found.slice(0, drop)) leaveOut();
}

function fits(found: readonly Found[]): boolean {
  if (found.length > MAX_IMAGES) return false;
  if (found.reduce((sum, { image }) => sum + base64Of(image), 0) > MAX_BASE64) return false;
  return found.length <= MANY_IMAGES || !found.some(({ image }) => sideOf(image) > MAX_SIDE_OF_MANY);
}

function imagesOf(content: ContentBlockParam[]): Found[] {
  return content.flatMap((block, index): Found[] => {
    if (block.type === 'image') return [{ image: block, leaveOut: () => void (content[index] = LEFT_OUT) }];
    if (block.type !== 'tool_result' || !Array.isArray(block.content)) return [];
    const parts = block.content;
    return parts.flatMap((part, at): Found[] =>
      part.type === 'image' ? [{ image: part, leaveOut: () => void (parts[at] = LEFT_OUT) }] : [],
    );
  });
}

function base64Of({ source }: ImageBlockParam): number {
  return source.type === 'base64' ? source.data.length : 0;
}

function sideOf(image: ImageBlockParam): number {
  const facts = factsOf(image);
  return facts ? Math.max(facts.width, facts.height) : 0;
}
