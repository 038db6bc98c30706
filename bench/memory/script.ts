/** The users' messages and the stand-in model's answers of the memory bench; the prose is deterministic. */
import { lastText, offeredTool, text, tool, toolResults, type Script } from '../../test/helpers/model-server.js';

export const SAY = { hold: 'hold', call: 'call', write: 'write' } as const;

const HOLD_GAP_MS = 1_000;
const HOLD_CHARS = 8_000;
const SAID_CHARS = 200;
const ANSWER_CHARS = 800;
const SYLLABLES = 'an be cor du el fa gri ho im ja kel lo mun ner os pa qui ra sen to ul ver wi yal zo stra plen'.split(
  ' ',
);
const VOCABULARY = 2_000;

/** «hold» streams a word a second; «call» and «write» call a tool; anything else is answered with prose at once. */
export const script: Script = ({ index, body }) => {
  if (toolResults(body).length > 0) return text('done');
  switch (lastText(body)) {
    case SAY.hold:
      return { blocks: [{ text: prose(index, HOLD_CHARS) }], gapMs: HOLD_GAP_MS };
    case SAY.call:
      return tool(wanted(body, 'list_files'), { path: '/workspace' });
    case SAY.write:
      return tool(wanted(body, 'write_file'), { path: 'kept.txt', content: prose(1, 1_000) });
    default:
      return text(prose(index, ANSWER_CHARS));
  }
};

/** A user's message in a turn of a deep history. */
export function said(seed: number): string {
  return prose(seed, SAID_CHARS);
}

function wanted(body: Parameters<typeof offeredTool>[0], name: string): string {
  const found = offeredTool(body, name);
  if (found === undefined) throw new Error(`the tool ${name} is not offered`);
  return found;
}

/** Words of one to three syllables, a few of them frequent, so that it compresses like a language. */
function prose(seed: number, chars: number): string {
  const random = mulberry32(seed + 1);
  let all = '';
  while (all.length < chars) all += `${word(Math.floor(VOCABULARY * random() ** 2))} `;
  return all.slice(0, chars).trim();
}

function word(index: number): string {
  const random = mulberry32(index + 1_000_003);
  const syllables = 1 + Math.floor(random() * 3);
  return Array.from({ length: syllables }, () => SYLLABLES[Math.floor(random() * SYLLABLES.length)]).join('');
}

/** A small generator of pseudo-random numbers from 0 to 1 (mulberry32, public domain). */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
