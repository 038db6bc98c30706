/** `fairlead chat`: interactive at a terminal, one answer after the other with piped input. Command line's process. */
import { safeEndpoint } from '../endpoint.js';
import { chatInteractive } from './chat-interactive.js';
import { chatPiped } from './chat-piped.js';

export interface ChatOptions {
  url: string;
  token: string | undefined;
  /** Throws where the token must not be sent; called before each connection. */
  guard?: (() => void) | undefined;
  session: string | undefined;
  model: string | undefined;
  /** Allow every tool call; only without a terminal. */
  yes: boolean;
  /** Send the token over plain http beyond this machine. */
  insecure: boolean;
}

/** Resolves to the process's exit code. */
export async function chat(options: ChatOptions): Promise<number> {
  const { stdin, stdout, stderr, env } = process;
  const target = { ...options, endpoint: safeEndpoint(options) };
  // A reader that closes the pipe early (`| head`) is no error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  if (stdin.isTTY && stdout.isTTY) return chatInteractive(target, { input: stdin, output: stdout, env });
  return chatPiped(target, options.yes, { input: stdin, output: stdout, errors: stderr, env });
}
