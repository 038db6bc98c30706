/** Parses the text after `/SERVER:PROMPT` into the prompt's arguments. Pure. */
import { FairleadError } from '../../shared/errors.js';

export interface PromptArgument {
  name: string;
  required?: boolean | undefined;
}

/**
 * `name=value` sets an argument by its name; other words fill the rest in order, and the last argument takes all that are
 * left. Quotes keep spaces. ERR_TOOL_ARGS for a missing argument or too many.
 */
export function parsePromptArgs(text: string, known: readonly PromptArgument[]): Record<string, string> {
  const args = new Map<string, string>();
  const rest: string[] = [];
  for (const word of wordsOf(text)) {
    const at = word.indexOf('=');
    const named = at > 0 ? known.find(({ name }) => name === word.slice(0, at)) : undefined;
    if (named) args.set(named.name, word.slice(at + 1));
    else rest.push(word);
  }
  const open = known.filter(({ name }) => !args.has(name));
  const last = open.at(-1);
  if (rest.length > 0 && !last)
    throw problem(known.length === 0 ? 'it takes no arguments' : 'all its arguments are given');
  for (const [index, { name }] of open.entries()) {
    const value = index === open.length - 1 ? rest.slice(index).join(' ') : (rest[index] ?? '');
    if (value !== '') args.set(name, value);
  }
  const missing = known.filter(({ name, required }) => required === true && !args.has(name));
  if (missing.length > 0) throw problem(`it wants ${missing.map(({ name }) => `${name}=…`).join(' ')}`);
  return Object.fromEntries(args);
}

function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*'|["'])+/g)].map(([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_whole, double?: string, single?: string) => double ?? single ?? ''),
  );
}

function problem(message: string): FairleadError {
  return new FairleadError('ERR_TOOL_ARGS', message);
}
