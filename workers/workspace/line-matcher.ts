/** Finds the lines that match a model's regular expression, within a time limit. Runs in the sandbox. */
import { createContext, Script, type Context } from 'node:vm';
import { errnoOf, ToolFault } from './fault.js';

/** Limit per file. Without it a pattern that backtracks for ever would block the server, cancellation included. */
const MATCH_TIMEOUT_MS = 1000;

export interface LineMatch {
  /** From 1. */
  line: number;
  text: string;
  /** Where the match begins in the text. */
  at: number;
}

export class LineMatcher {
  readonly #context: Context;
  readonly #script = new Script('findLines()');
  readonly #call: { text: string; limit: number; found: LineMatch[] } = { text: '', limit: 0, found: [] };

  constructor(pattern: string, ignoreCase: boolean) {
    const regexp = compile(pattern, ignoreCase);
    // The context is not for isolation: only node:vm can stop a running expression.
    this.#context = createContext({
      findLines: (): void => {
        this.#call.found = findLines(regexp, this.#call.text, this.#call.limit);
      },
    });
  }

  /** Throws SLOW_PATTERN. */
  match(text: string, limit: number): LineMatch[] {
    if (text === '') return [];
    Object.assign(this.#call, { text, limit, found: [] });
    try {
      this.#script.runInContext(this.#context, { timeout: MATCH_TIMEOUT_MS });
    } catch (error) {
      if (errnoOf(error) !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
      throw new ToolFault('SLOW_PATTERN', 'This pattern takes too long: avoid nested repetition such as (a+)+.');
    }
    return this.#call.found;
  }
}

function compile(pattern: string, ignoreCase: boolean): RegExp {
  try {
    return new RegExp(pattern, ignoreCase ? 'iu' : 'u');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  try {
    // Without the u flag, needless escapes such as `\-` are allowed; models write them.
    return new RegExp(pattern, ignoreCase ? 'i' : '');
  } catch (error) {
    throw new ToolFault('BAD_PATTERN', `pattern: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function findLines(regexp: RegExp, text: string, limit: number): LineMatch[] {
  const found: LineMatch[] = [];
  let line = 1;
  for (let start = 0; start < text.length && found.length < limit; line++) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    const content = text.slice(start, text[end - 1] === '\r' ? end - 1 : end);
    const at = content.search(regexp);
    if (at !== -1) found.push({ line, text: content, at });
    start = end + 1;
  }
  return found;
}
