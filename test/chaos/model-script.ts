/** The model of a chaos run: does what the user's last message says, and fails when the run wants it to. Runs in tests. */
import { offeredTool, text, type Block, type Reply, type RequestBody } from '../helpers/model-server.js';

/** What a user wants of a turn; it travels as JSON in the message. */
export interface TurnWish {
  /** Unique in its session. */
  id: string;
  /** Each round's calls: `tool:text`. After the last round comes an answer in text. */
  rounds: string[][];
  /** How long the text is, in pieces. */
  pieces: number;
}

export const OVERLOADED: Reply = { status: 529 };
const GAP_MS = 15;

export function replyTo(body: RequestBody): Reply {
  const said = body.messages.findLastIndex(({ role, content }) => role === 'user' && wishIn(content) !== undefined);
  const wish = said < 0 ? undefined : wishIn(body.messages[said]?.content);
  if (!wish) return text('nothing was asked for');
  const round = body.messages.slice(said).filter(({ role }) => role === 'assistant').length;
  const calls = (wish.rounds[round] ?? []).flatMap((call, index): Block[] => {
    const [name = '', argument = ''] = call.split(':');
    const offered = offeredTool(body, name);
    return offered === undefined
      ? []
      : [{ tool: offered, input: { text: argument }, id: `${wish.id}-${round}-${index}` }];
  });
  const words = Array.from({ length: wish.pieces }, (_, piece) => `${wish.id} round ${round} piece ${piece}. `).join(
    '',
  );
  return { blocks: [{ text: words }, ...calls], chunk: 24, gapMs: GAP_MS };
}

function wishIn(content: RequestBody['messages'][number]['content'] | undefined): TurnWish | undefined {
  const texts = typeof content === 'string' ? [content] : (content ?? []).map((block) => block['text']);
  const found = texts.findLast((each): each is string => typeof each === 'string' && each.startsWith('{"id":'));
  return found === undefined ? undefined : (JSON.parse(found) as TurnWish);
}
