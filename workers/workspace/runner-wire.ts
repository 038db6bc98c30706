/** The messages between the workspace server and its runner, one JSON line each. Runs in the sandbox. */
import type { CallToolResult } from '@modelcontextprotocol/server';
import type { ProgressPiece } from './progress.js';

/** In the server's environment: the SHA-256 of the runner's secret, as hex digits. Absent: the server runs the tools itself. */
export const RUNNER_HASH = 'FAIRLEAD_RUNNER';
/** In the runner's environment: its secret. Another user's process cannot read it, nor a command of the runner's own user. */
export const RUNNER_SECRET = 'FAIRLEAD_RUNNER_SECRET';
/** A folder that belongs to the server's user. */
export const RUN_FOLDER = '/run/fairlead';
export const RUNNER_SOCKET = `${RUN_FOLDER}/runner.sock`;

/** Bounds the files that write_file can take, since each is in one message. */
export const MAX_MESSAGE_BYTES = 33_554_432;
/** A result is far smaller; the client takes no longer line. */
export const MAX_RESULT_BYTES = 16_777_216;

export type ToRunner =
  /** The first message; `replaces` is the pid of the runner before, which may be stopped and not ended. */
  | { type: 'welcome'; replaces?: number }
  | {
      type: 'call';
      id: number;
      name: string;
      args: Readonly<Record<string, unknown>>;
      progress: boolean;
      maxBytes: number;
      isRestored?: boolean;
    }
  | { type: 'cancel'; id: number }
  /** The client has taken the call's last piece of progress. */
  | { type: 'ack'; id: number }
  | { type: 'ping' };

export type FromRunner =
  /** The first message. */
  | { type: 'hello'; secret: string; pid: number; uid: number }
  | { type: 'progress'; id: number; piece: ProgressPiece }
  | { type: 'result'; id: number; result: CallToolResult }
  | { type: 'pong' };

export function lineOf(message: ToRunner | FromRunner): string {
  return `${JSON.stringify(message)}\n`;
}

/** Undefined for anything that is not one of these messages, shapes of texts included. */
export function readFromRunner(line: string): FromRunner | undefined {
  const value = parse(line);
  switch (value?.['type']) {
    case 'hello': {
      const { secret, pid, uid } = value;
      return typeof secret === 'string' && isCount(pid) && isCount(uid)
        ? { type: 'hello', secret, pid, uid }
        : undefined;
    }
    case 'progress': {
      const piece = readPiece(value['piece']);
      return isCount(value['id']) && piece ? { type: 'progress', id: value['id'], piece } : undefined;
    }
    case 'result': {
      const result = readResult(value['result']);
      return isCount(value['id']) && result ? { type: 'result', id: value['id'], result } : undefined;
    }
    case 'pong':
      return { type: 'pong' };
    default:
      return undefined;
  }
}

/** The server is trusted, so its messages are only parsed. */
export function readToRunner(line: string): ToRunner {
  return JSON.parse(line) as ToRunner;
}

function readPiece(value: unknown): ProgressPiece | undefined {
  if (!isRecord(value)) return undefined;
  const { stream, text, total } = value;
  if ((stream !== 'stdout' && stream !== 'stderr') || typeof text !== 'string' || !isCount(total)) return undefined;
  return { stream, text, total };
}

/** Takes over only what a result of ours has: texts, the flag and `_meta`. */
function readResult(value: unknown): CallToolResult | undefined {
  if (!isRecord(value) || !Array.isArray(value['content'])) return undefined;
  const content = value['content'].map((block: unknown) =>
    isRecord(block) && block['type'] === 'text' && typeof block['text'] === 'string'
      ? { type: 'text' as const, text: block['text'] }
      : undefined,
  );
  const texts = content.filter((block) => block !== undefined);
  if (texts.length < content.length) return undefined;
  const { isError, _meta: meta } = value;
  return { content: texts, ...(isError === true && { isError }), ...(isRecord(meta) && { _meta: meta }) };
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined; // no JSON: as wrong as any other shape
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
