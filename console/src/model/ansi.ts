/** What a terminal would show at the end, with its colours: pieces of text and the names of their styles. Pure. */
import { terminalText, withoutReturns } from './plain.js';

export interface Run {
  text: string;
  /** Class names: `ansi-1` to `ansi-6`, `ansi-bold`, `ansi-dim`, `ansi-under`, `ansi-turned`. '' is plain. */
  style: string;
}

interface Style {
  colour: number | undefined;
  bold: boolean;
  dim: boolean;
  under: boolean;
  turned: boolean;
}

const PLAIN: Style = { colour: undefined, bold: false, dim: false, under: false, turned: false };
/** Select Graphic Rendition (ECMA-48). Its numbers are bounded, so that none of it takes long. */
// oxlint-disable-next-line no-control-regex -- it is about control characters
const SGR = /(\u001B\[[\d;:]{0,100}m)/;

export function runsOf(text: string): Run[] {
  const runs: Run[] = [];
  let style = PLAIN;
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  for (const [place, line] of lines.entries()) {
    const kept = withoutReturns(line);
    const from = kept.lastIndexOf('\r') + 1;
    // What is written over shows nothing, but its colours go on.
    for (const part of kept.slice(0, from).split(SGR)) style = SGR.test(part) ? after(style, part) : style;
    for (const part of kept.slice(from).split(SGR)) {
      if (SGR.test(part)) style = after(style, part);
      else add(runs, terminalText(part), style);
    }
    if (place < lines.length - 1) add(runs, '\n', PLAIN);
  }
  return runs;
}

function add(runs: Run[], text: string, style: Style): void {
  if (text === '') return;
  const names = text === '\n' ? (runs.at(-1)?.style ?? '') : namesOf(style);
  const last = runs.at(-1);
  if (last && last.style === names) last.text += text;
  else runs.push({ text, style: names });
}

function after(before: Style, sequence: string): Style {
  let style = before;
  const codes = sequence.slice(2, -1).split(';');
  for (let place = 0; place < codes.length; place++) {
    const [code = 0, ...more] = codes[place]!.split(':').map(Number);
    if (code === 0) style = PLAIN;
    else if (code === 1) style = { ...style, bold: true };
    else if (code === 2) style = { ...style, dim: true };
    else if (code === 4) style = { ...style, under: more[0] !== 0 };
    else if (code === 7) style = { ...style, turned: true };
    else if (code === 22) style = { ...style, bold: false, dim: false };
    else if (code === 24) style = { ...style, under: false };
    else if (code === 27) style = { ...style, turned: false };
    else if (code === 39) style = { ...style, colour: undefined };
    else if (code >= 30 && code <= 37) style = { ...style, colour: code - 30 };
    else if (code >= 90 && code <= 97) style = { ...style, colour: code - 90 };
    // Colours by number or by red, green and blue: none of ours.
    else if ((code === 38 || code === 48) && more.length === 0) place += codes[place + 1] === '5' ? 2 : 4;
  }
  return style;
}

/** Black and white are the page's own text, which has to be read in both themes. */
function namesOf({ colour, bold, dim, under, turned }: Style): string {
  const names = [
    colour !== undefined && colour > 0 && colour < 7 && `ansi-${colour}`,
    bold && 'ansi-bold',
    dim && 'ansi-dim',
    under && 'ansi-under',
    turned && 'ansi-turned',
  ];
  return names.filter(Boolean).join(' ');
}
