/** The end of what an MCP server has printed to stderr: when it dies, the code of its exit helps nobody. Agent threads and docker thread. */
import { quote } from './control-characters.js';

const KEPT = 8_192;
const MAX_LINES = 6;
const MAX_TEXT = 400;
/** Where an exception came from, and the version at the end of Node's: they would push out what it says. */
const FRAME = /^\s*at .*[\d)]$|^Node\.js v\d/;
// oxlint-disable-next-line no-control-regex -- escape sequences are what this is about
const ESCAPES = /\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)?)/g;
/** A value of the environment that is shorter is no secret, and its mark would only hide words. */
const MIN_SECRET = 6;

export class StderrTail {
  readonly #mask: (text: string) => string;
  #kept = Buffer.alloc(0);

  /** `env`: of its configuration, which may hold secrets; their values become their names. */
  constructor(env: Readonly<Record<string, string>> = {}) {
    this.#mask = maskOf(env);
  }

  add(chunk: Buffer | string): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    this.#kept = Buffer.concat([this.#kept, bytes.subarray(-KEPT)]).subarray(-KEPT);
  }

  /** To be put behind the reason of an end; '' where it has printed nothing. */
  get told(): string {
    const text = this.#kept.toString().replace(/^\uFFFD+/, '');
    const lines = this.#mask(text)
      .replaceAll(ESCAPES, '')
      .split(/[\r\n]+/)
      .filter((line) => line.trim() !== '' && !FRAME.test(line));
    const last = lines.slice(-MAX_LINES).map((line) => quote(line, MAX_TEXT));
    // Whole lines from the end, as far as there is room.
    while (last.length > 1 && last.join(' | ').length > MAX_TEXT) last.shift();
    return last.length === 0 ? '' : `; its stderr ends with: ${last.join(' | ')}`;
  }
}

/** Writes each value of the environment as its name. */
export function maskOf(env: Readonly<Record<string, string>>): (text: string) => string {
  // A long value first: a short one may be a part of it.
  const secrets = Object.entries(env)
    .filter(([, value]) => value.length >= MIN_SECRET)
    .sort(([, a], [, b]) => b.length - a.length);
  return (text) => secrets.reduce((masked, [name, value]) => masked.replaceAll(value, `[${name}]`), text);
}
