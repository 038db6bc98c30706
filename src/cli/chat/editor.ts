/** Lets the user edit JSON in $VISUAL or $EDITOR, or without one on the prompt's line. Command line's process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FairleadError } from '../../shared/errors.js';
import type { PromptOptions, Prompt } from './prompt.js';

export type Args = Record<string, unknown>;

/** The edited object; undefined when the user gives up. Asks again, with the typed text, until it is a JSON object. */
export async function editArgs(
  args: Args,
  prompt: Prompt,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<Args | undefined> {
  const editor = env['VISUAL'] || env['EDITOR'];
  let text = JSON.stringify(args, null, editor ? 2 : 0);
  while (!signal.aborted) {
    const edited = editor ? await inEditor(text, editor, prompt) : await onLine(text, prompt, { signal });
    if (edited === undefined || edited.trim() === '') return undefined;
    const parsed = parseArgs(edited);
    if (typeof parsed !== 'string') return parsed;
    text = edited;
    prompt.write(`${parsed}\n`);
    if (editor && (await prompt.ask('edit again? [Y/n] › ', { signal }))?.trim().toLowerCase() === 'n')
      return undefined;
  }
  return undefined;
}

function onLine(text: string, prompt: Prompt, options: PromptOptions): Promise<string | undefined> {
  return prompt.ask('arguments (empty: give up) › ', { ...options, prefill: text });
}

/** The object, or a sentence about what is wrong with the text. */
function parseArgs(text: string): Args | string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Args;
    return 'the arguments are a JSON object: { "name": value }';
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
}

async function inEditor(text: string, editor: string, prompt: Prompt): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-edit-'));
  try {
    const file = join(folder, 'arguments.json');
    await writeFile(file, `${text}\n`, { mode: 0o600 });
    await prompt.suspend(async () => {
      // A shell runs it, since $EDITOR may contain arguments (`code --wait`).
      const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
      const [code] = (await once(child, 'exit')) as [number | null];
      if (code !== 0) throw new FairleadError('ERR_START', `the editor ${editor} ended with ${code ?? 'a signal'}`);
    });
    return await readFile(file, 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
