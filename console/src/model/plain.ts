/** Makes what others have written harmless to look at: nothing in it moves, hides or turns around other text. Pure. */

/** Control sequences of terminals (ECMA-48): CSI, OSC and the other strings, and two-character escapes. Each part is bounded by its class. */
const ESCAPES =
  // oxlint-disable-next-line no-control-regex -- it is about control characters
  /[\u001B\u009B](?:\[[\d:;<=>?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)?|[PX^_][^\u001B]*(?:\u001B\\)?|[ -/]*[0-~])?/g;

/** Characters that turn text around or hide in it: bidi controls, zero-width characters but the joiners that scripts and emoji need, line separators. */
const TURNING = /[\u061C\u200B\u200E\u200F\u2028\u2029\u202A-\u202E\u2060-\u2064\u2066-\u206F\uFEFF]/g;

// oxlint-disable-next-line no-control-regex -- it is about control characters
const CONTROLS = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g;

/** Each control character as a visible one. Line feeds and tabs stay. */
export function visible(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(CONTROLS, (char) => {
      const code = char.charCodeAt(0);
      if (code < 32) return String.fromCharCode(0x2400 + code);
      return code === 127 ? '\u2421' : `<${code.toString(16).toUpperCase()}>`;
    })
    .replaceAll(TURNING, (char) => `<U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}>`);
}

/** Nearly the text that a terminal shows at the end: without colours and cursor moves; of a line that is written again, the last text. */
export function terminalText(text: string): string {
  const plain = text.replaceAll(ESCAPES, '').replaceAll('\r\n', '\n');
  const lines = plain.split('\n').map((line) => {
    const kept = withoutReturns(line);
    return kept.slice(kept.lastIndexOf('\r') + 1);
  });
  return visible(lines.join('\n'));
}

/** Without carriage returns at its end. A pattern would look at each of a long row of them again and again. */
export function withoutReturns(line: string): string {
  let end = line.length;
  while (line[end - 1] === '\r') end--;
  return line.slice(0, end);
}

/** A name in one line. */
export function oneLine(text: string, max = 200): string {
  const line = visible(text.slice(0, max * 2))
    .replaceAll(/\s+/g, ' ')
    .trim();
  return line.length > max ? `${line.slice(0, max)}…` : line;
}

/** Where a link may lead: to the web and to a mailbox. Undefined: it is shown as text. */
export function safeLink(address: string | undefined): string | undefined {
  if (address === undefined || !/^(?:https?:\/\/|mailto:)/i.test(address) || !URL.canParse(address)) return undefined;
  const { protocol } = new URL(address);
  return protocol === 'https:' || protocol === 'http:' || protocol === 'mailto:' ? address : undefined;
}

/** JSON as a person reads it: texts as they are, the rest indented. */
export function argumentText(value: unknown): string {
  if (typeof value === 'string') return visible(value);
  return visible(JSON.stringify(value, undefined, 2) ?? String(value));
}
