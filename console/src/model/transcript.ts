/** Items of a stored transcript, for what the log of events no longer holds. Pure. */
import type { ContentBlock, TranscriptEntry } from '../../../src/shared/protocol.js';
import type { Item, ToolItem } from './items.js';

interface Block {
  type?: unknown;
  text?: unknown;
  id?: unknown;
  name?: unknown;
  input?: unknown;
  tool_use_id?: unknown;
  is_error?: unknown;
  content?: unknown;
  /** Of an attached file; its text is for the model. */
  file?: { path?: unknown };
}

/** `prefix` keeps keys of one page apart from those of another. */
export function itemsOfTranscript(transcript: readonly TranscriptEntry[], prefix: string): Item[] {
  const items: Item[] = [];
  const calls = new Map<string, number>();
  for (const [at, { role, content }] of transcript.entries()) {
    const blocks = content.filter((block): block is Block => typeof block === 'object' && block !== null);
    const texts = blocks.flatMap(({ type, text, file }) =>
      type === 'text' && typeof text === 'string' && file === undefined ? [text] : [],
    );
    const files = blocks.flatMap(({ file }) => (typeof file?.path === 'string' ? [file.path] : []));
    const images = blocks.filter(({ type }) => type === 'image').length;
    if (role === 'user' && texts.length + images + files.length > 0) {
      const text = texts.join('\n\n');
      items.push({
        kind: 'user',
        key: `${prefix}:${at}`,
        text,
        ...(images > 0 && { images }),
        ...(files.length > 0 && { files }),
        state: 'stored',
      });
    }
    for (const [place, block] of blocks.entries()) {
      const key = `${prefix}:${at}.${place}`;
      if (role === 'assistant' && block.type === 'text' && typeof block.text === 'string') {
        items.push({ kind: 'text', key, turn: 0, text: block.text, done: true });
      } else if (block.type === 'tool_use' && typeof block.id === 'string') {
        calls.set(block.id, items.push(callOf(key, block.id, block)) - 1);
      } else if (block.type === 'tool_result') {
        const place = calls.get(String(block.tool_use_id));
        const call = place === undefined ? undefined : items[place];
        if (place !== undefined && call?.kind === 'tool') items[place] = { ...call, ...resultOf(block) };
      }
    }
  }
  return items;
}

function callOf(key: string, callId: string, { name, input }: Block): ToolItem {
  const args = typeof input === 'object' && input !== null && !Array.isArray(input) ? input : {};
  // The model's name of a tool begins with its server's, where it has one.
  const [server, ...rest] = String(name).split('__');
  const named =
    rest.length === 0 ? { server: '', name: String(name) } : { server: server ?? '', name: rest.join('__') };
  return { kind: 'tool', key, callId, ...named, args: args as Record<string, unknown>, state: 'ok', output: {} };
}

function resultOf({ is_error, content }: Block): Pick<ToolItem, 'state' | 'content'> {
  const list: unknown[] =
    typeof content === 'string' ? [{ type: 'text', text: content }] : Array.isArray(content) ? content : [];
  const blocks = list.flatMap((each): ContentBlock[] => {
    const { type, text } = each as Block;
    if (type === 'text' && typeof text === 'string') return [{ type, text }];
    return type === 'image' ? [{ type: 'text', text: '[a picture]' }] : [];
  });
  return { state: is_error === true ? 'failed' : 'ok', content: blocks };
}
