/** What the page is told: a long conversation, an answer that streams, and tools that print too much. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Session } from '../../test/helpers/protocol-server.js';

const ANSWER = [
  'The importer reads the file line by line, so its memory does not grow with the file. ',
  'What was slow is the check of each line: it **compiled** its schema again every time.\n\n',
  '1. Compile the schema once, when the module is loaded.\n2. Keep `parse` as it is.\n3. Measure again.\n\n',
].join('');
const CODE =
  '```ts\nconst check = compile(schema);\nfor await (const line of lines(file)) check(JSON.parse(line));\n```\n';
/** Every so many turns have code, and a call. */
const CODE_EVERY = 5;
const CALL_EVERY = 4;

/** A message and its answer, in every fourth turn with a call between them. */
export function addTurn(session: Session): void {
  const turn = (session.turns += 1);
  session.add({
    type: 'message:accepted',
    turn,
    queued: 0,
    said: { text: `Question ${turn}: why is the import slow?` },
  });
  session.add({ type: 'turn:start', turn });
  if (turn % CALL_EVERY === 0) {
    const callId = `call-${turn}`;
    const args = { path: `src/importer-${turn}.ts` };
    session.add({ type: 'tool:start', callId, name: 'read_file', server: 'workspace', args });
    session.add({ type: 'tool:result', callId, ok: true, content: [{ type: 'text', text: CODE.repeat(3) }], ms: 12 });
  }
  const code = turn % CODE_EVERY === 0 ? CODE : '';
  session.add({ type: 'text', turn, block: 0, text: `Answer ${turn}. ${ANSWER}${code}` });
  session.end(turn);
}

const WORDS = ['some ', 'text ', 'that ', 'goes ', 'on, ', 'and ', '`code`, ', 'and ', '**more**, ', 'so '];
/** A paragraph has so many pieces. */
const PARAGRAPH = 60;
const TICK_MS = 10;

/** An answer in `perSecond` pieces a second, and its end. `last` is its last words. */
export async function streamAnswer(
  session: Session,
  { perSecond, ms, last, signal }: { perSecond: number; ms: number; last: string; signal: AbortSignal },
): Promise<void> {
  const turn = (session.turns += 1);
  session.add({ type: 'message:accepted', turn, queued: 0, said: { text: 'Explain it at length.' } });
  session.add({ type: 'turn:start', turn });
  let text = '';
  let sent = 0;
  const say = (piece: string): void => {
    session.stream({ type: 'text:delta', turn, block: 0, offset: text.length, text: piece });
    text += piece;
  };
  const startedAt = performance.now();
  for (let elapsed = 0; elapsed < ms; elapsed = performance.now() - startedAt) {
    // A late timer sends what is due by then: the rate holds.
    for (const due = (elapsed / 1_000) * perSecond; sent < due; sent++) {
      say(sent % PARAGRAPH === PARAGRAPH - 1 ? 'end.\n\n' : WORDS[sent % WORDS.length]!);
    }
    await delay(TICK_MS, undefined, { signal });
  }
  say(last);
  session.add({ type: 'text', turn, block: 0, text });
  session.end(turn);
}

const PIECE_CHARS = 65_536;
/** What the server leaves of a result that is too long, in characters. */
const RESULT_CHARS = 100_000;

export const OUTPUTS = {
  'a line of 10 MB': 'x'.repeat(10_000_000),
  'a colour for each character, 2 MB': '\u001B[31ma\u001B[42mb\u001B[0m'.repeat(140_000),
  'cursor movements, 2 MB': '\u001B[2J\u001B[H\u001B[10A\u001B[99999Cxy\r'.repeat(80_000),
};

/** A call that prints all of it as fast as it goes; `last` is what the model says behind it. */
export async function printOutput(session: Session, output: string, last: string, signal: AbortSignal): Promise<void> {
  const turn = (session.turns += 1);
  const callId = `call-${turn}`;
  session.add({ type: 'message:accepted', turn, queued: 0, said: { text: 'Run it.' } });
  session.add({ type: 'turn:start', turn });
  session.add({ type: 'tool:start', callId, name: 'run_command', server: 'workspace', args: { command: './run' } });
  for (let offset = 0; offset < output.length; offset += PIECE_CHARS) {
    const text = output.slice(offset, offset + PIECE_CHARS);
    session.stream({ type: 'tool:output', callId, stream: 'stdout', offset, text });
    await delay(1, undefined, { signal });
  }
  const text = output.slice(0, RESULT_CHARS);
  // A call that failed stays open, so that what it printed is shown.
  session.add({ type: 'tool:result', callId, ok: false, content: [{ type: 'text', text, truncated: true }], ms: 900 });
  session.add({ type: 'text', turn, block: 1, text: last });
  session.end(turn);
}
