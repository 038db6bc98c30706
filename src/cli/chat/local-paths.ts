/** Reads paths as people type them and as terminals put them into the line when a file is dropped there. Command line's process. */
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAX_DROPPED = 20;

/** Words as a shell splits them: quotes keep spaces, a backslash keeps the next character. Undefined: a quote has no end. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (quote !== '') {
      if (char === quote) quote = '';
      else if (char === '\\' && quote === '"' && '"\\$`'.includes(text[at + 1] ?? ' ')) word += text[++at]!;
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === '\\' && at + 1 < text.length) word = (word ?? '') + text[++at]!;
    else word = (word ?? '') + char;
  }
  if (quote !== '') return undefined;
  if (word !== undefined) words.push(word);
  return words;
}

/** `~` is the home folder. */
export function localPath(word: string): string {
  return word === '~' || word.startsWith('~/') ? homedir() + word.slice(1) : word;
}

/** The files that a line names and nothing else, each by an absolute path that is there. Undefined: it is a message. */
export function droppedFiles(line: string): string[] | undefined {
  const text = line.trim();
  if (text.includes('\n') || !/^(?:["']?\/|["']?file:\/\/)/.test(text)) return undefined;
  if (isFile(text)) return [text]; // a terminal that escapes nothing
  const words = splitWords(text) ?? [];
  if (words.length === 0 || words.length > MAX_DROPPED) return undefined;
  const paths = words.map((word) => (word.startsWith('file://') ? pathOfUrl(word) : word));
  return paths.every((path) => path !== undefined && isAbsolute(path) && isFile(path))
    ? (paths as string[])
    : undefined;
}

function pathOfUrl(url: string): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined; // of another machine, or no address: then it is text
  }
}

function isFile(path: string): boolean {
  if (path.includes('\0')) return false;
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false; // a folder that is closed, or a name that is too long: nothing that can be sent
  }
}
