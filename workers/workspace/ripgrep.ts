/**
 * Which files may have a line that matches, as ripgrep says where the image has it: it reads a large tree many times faster than we
 * do. What matches is still decided by our own matcher, so an answer is the same with it and without. Runs in the sandbox.
 */
import { spawn } from 'node:child_process';
import { textOf, type BytePath } from './names.js';

/** Of the image alone: not what a command may have put on the PATH. */
export const RIPGREP = '/usr/bin/rg';
const OPTIONS = [
  '--files-with-matches',
  '--null',
  '--text',
  '--crlf',
  '--no-config',
  '--no-ignore',
  '--hidden',
  '--no-messages',
  '--threads=2',
];
const MAX_OUTPUT_BYTES = 8_388_608;
/** More files than a search looks at. */
const NO_MATCH = 1;

/** A byte that is no UTF-8, which our matcher sees as a character. */
const FOREIGN = '(?-u:[\\x80-\\xff])';

export interface CandidateRequest {
  /** The file or folder to search. */
  root: BytePath;
  pattern: string;
  ignoreCase: boolean;
  timeoutMs: number;
  signal: AbortSignal;
}

/** Undefined: nobody knows, so that all files have to be read. */
export async function candidateFiles(program: string, request: CandidateRequest): Promise<Set<string> | undefined> {
  const pattern = translate(request.pattern);
  const root = textOf(request.root);
  if (pattern === undefined || root === undefined) return undefined;
  const args = [...OPTIONS, request.ignoreCase ? '-i' : '-s', `--regexp=${pattern}`, '--', root];
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(request.timeoutMs)]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], signal });
  const chunks: Buffer[] = [];
  let bytes = 0;
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null)); // it is not there, or was ended
    child.stdout.on('error', () => resolve(null));
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_OUTPUT_BYTES) child.kill('SIGKILL');
      else chunks.push(chunk);
    });
    child.on('close', resolve);
  });
  if (code !== 0 && code !== NO_MATCH) return undefined;
  return new Set(Buffer.concat(chunks).toString('latin1').split('\0'));
}

/** An escape that both read alike, or ripgrep more widely. */
const ESCAPED = /^\\[dws.()[\]{}+*?|\\/^$-]/;
const REPEATED = /^\{\d{1,3}(?:,\d{0,3})?\}/;
const CLASS = /^\[(\^?)((?:\\[dws.\]\\/-]|[\w \-.,:;"'=<>/+*?(){}|#@!%$])+)\]/;
const PLAIN = /^[\w \-,:;"'=<>/#@!%`~&)|^$*+?]/;

/**
 * A pattern of JavaScript for ripgrep, which then finds at least the same lines. Undefined where the two may read it differently:
 * word boundaries, look-around, what is not ASCII, and rare syntax.
 */
export function translate(pattern: string): string | undefined {
  let rest = pattern;
  let translated = '';
  while (rest !== '') {
    const group = /^\((?:\?:|(?!\?))/.exec(rest)?.[0];
    const known = group ?? (ESCAPED.exec(rest) ?? REPEATED.exec(rest) ?? PLAIN.exec(rest))?.[0];
    const set = known === undefined ? CLASS.exec(rest) : null;
    const taken = known ?? set?.[0] ?? (rest.startsWith('.') ? '.' : undefined);
    if (taken === undefined) return undefined;
    const isWide = taken === '.' || set?.[1] === '^';
    translated += isWide ? `(?:${taken}|${FOREIGN})` : taken;
    rest = rest.slice(taken.length);
  }
  return translated;
}
