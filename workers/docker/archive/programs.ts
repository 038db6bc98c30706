/** Runs the programs of a save or restore in a sandbox, with what they print on stderr. Docker thread. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { untilAborted } from '../../../src/shared/abort.js';
import type { RunningSandbox, SandboxProgram } from '../driver/driver.js';

const STDERR_KEPT_BYTES = 65_536;
const STDERR_SAID_CHARACTERS = 1_000;

/** In Docker it is always mounted there; the process driver runs programs in the workspace itself. */
export function workspaceOf(sandbox: RunningSandbox): string {
  return isProcess(sandbox) ? '.' : '/workspace';
}

export function isProcess(sandbox: RunningSandbox): boolean {
  return sandbox.id.startsWith('process:');
}

/** Reads stderr to its end, and keeps its start. */
export class Stderr {
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor({ stderr }: SandboxProgram) {
    stderr.on('error', () => undefined);
    stderr.on('data', (data: Buffer) => {
      const part = data.subarray(0, STDERR_KEPT_BYTES - this.#bytes);
      this.#bytes += part.length;
      if (part.length > 0) this.#parts.push(part);
    });
  }

  /** More was printed than is kept. */
  get isCut(): boolean {
    return this.#bytes >= STDERR_KEPT_BYTES;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** In one line, for a log or an error. */
  get text(): string {
    return this.bytes.toString('utf8').slice(0, STDERR_SAID_CHARACTERS).trim().replaceAll('\n', '; ');
  }
}

export interface Fed {
  code: number | null;
  stderr: string;
  /** Why the program did not read all of its input. */
  unread: unknown;
}

/** Rejects when `cut` aborts. */
export async function feed(program: SandboxProgram, input: AsyncIterable<Buffer>, cut: AbortSignal): Promise<Fed> {
  const stderr = new Stderr(program);
  program.stdout.on('error', () => undefined).resume();
  const ended = new AbortController();
  // A stream, not the generator: pipeline waits for ever on a generator once the other side has closed the socket.
  const source = Readable.from(input, { objectMode: false });
  const feeding = pipeline(source, program.stdin, { signal: ended.signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
  try {
    const code = await untilAborted(cut, () => program.exited);
    // It may have exited before it read everything: nobody takes the rest.
    ended.abort();
    return { code, stderr: stderr.text, unread: await feeding };
  } finally {
    ended.abort();
    await feeding;
  }
}

export async function* piecesOf(parts: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* parts;
}
