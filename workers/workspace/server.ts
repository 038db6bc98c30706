/**
 * Serves MCP on stdio to clients of the 2025 revisions: initialize, ping, tools. Runs in the sandbox.
 * Written by hand, since the SDK and its schemas double the memory and the boot time of a waiting sandbox. Clients of newer
 * revisions are served by the SDK, see newer-era.ts.
 */
import type { Writable } from 'node:stream';
import { MAX_RESULT_META, RESTORED_META } from '../../src/shared/mcp-meta.js';
import type { ProgressPiece } from './progress.js';
import { DEFAULT_RESULT_BYTES } from './tool-list.js';
import type { CallContext, Tool } from './tools.js';

export { COMMAND_META, FAULT_META, type CommandMeta } from './tool-list.js';

export const SERVER_INFO = { name: 'fairlead-workspace', version: '0.2.0' };
export const { name: SERVER_NAME, version: SERVER_VERSION } = SERVER_INFO;
export const CAPABILITIES = { tools: { listChanged: false } };

/** In a progress notification's `_meta`: the stream that its `message` comes from. */
export const STREAM_META = 'fairlead/stream';

/** Newest first. A client that asks for an unknown revision is offered the newest. */
const REVISIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'] as const;
const METHOD_NOT_FOUND = -32_601;
const INVALID_PARAMS = -32_602;
const INTERNAL_ERROR = -32_603;

/** The second one finds nothing. */
const WARMING = [
  ['list_files', { path: '.' }],
  ['read_file', { path: '.fairlead-warm-up' }],
  ['run_command', { command: ':' }],
] as const;
const WARM_UP_MS = 2_000;

type Id = string | number;

export interface Message {
  readonly id?: Id;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

class RequestError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A request or a notification; undefined for anything else, which a server ignores. */
export function parseMessage(line: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (!isRecord(value) || value['jsonrpc'] !== '2.0') return undefined;
    const { id, method, params } = value;
    if (typeof method !== 'string' || (id !== undefined && !isId(id))) return undefined;
    return { ...(id !== undefined && { id }), method, params: isRecord(params) ? params : {} };
  } catch {
    return undefined;
  }
}

/** The handshake of the 2025 revisions and older. Newer ones put their revision into the `_meta` of every message. */
export function isHandshake({ id, method, params }: Message): boolean {
  return id !== undefined && method === 'initialize' && params['_meta'] === undefined;
}

export class WorkspaceServer {
  readonly #tools: Map<string, Tool>;
  readonly #output: Writable;
  readonly #alive: () => Promise<void>;
  #warmUp: Promise<void> | undefined;
  readonly #calls = new Map<Id, AbortController>();

  /** `alive` resolves when tools can run: `initialize` and `ping` are answered after it, and refused when it rejects. */
  constructor(tools: readonly Tool[], output: Writable, alive: () => Promise<void> = async () => undefined) {
    this.#tools = new Map(tools.map((tool) => [tool.listed.name, tool]));
    this.#output = output;
    this.#alive = alive;
  }

  receive({ id, method, params }: Message): void {
    if (id !== undefined) void this.#answer(id, method, params);
    else if (method === 'notifications/cancelled') this.#calls.get(params['requestId'] as Id)?.abort();
  }

  /** `initialize` means a new client: nobody waits for the calls of the one before. */
  #abortCalls(): void {
    for (const call of this.#calls.values()) call.abort();
    this.#calls.clear();
  }

  async #answer(id: Id, method: string, params: Message['params']): Promise<void> {
    if (method === 'initialize') this.#abortCalls();
    const call = new AbortController();
    this.#calls.set(id, call);
    try {
      const result = await this.#request(method, params, call.signal);
      if (!call.signal.aborted) await this.#send({ id, result });
    } catch (error) {
      if (call.signal.aborted) return;
      const code = error instanceof RequestError ? error.code : INTERNAL_ERROR;
      await this.#send({ id, error: { code, message: (error as Error).message } });
    } finally {
      if (this.#calls.get(id) === call) this.#calls.delete(id);
    }
  }

  async #request(method: string, params: Message['params'], signal: AbortSignal): Promise<object> {
    switch (method) {
      case 'initialize': {
        await this.#alive();
        await (this.#warmUp ??= warmUp(this.#tools));
        const protocolVersion = REVISIONS.find((one) => one === params['protocolVersion']) ?? REVISIONS[0];
        return { protocolVersion, capabilities: CAPABILITIES, serverInfo: SERVER_INFO };
      }
      case 'ping':
        await this.#alive();
        return {};
      case 'tools/list':
        return { tools: [...this.#tools.values()].map(({ listed }) => listed) };
      case 'tools/call':
        return this.#call(params, signal);
      default:
        throw new RequestError(METHOD_NOT_FOUND, 'Method not found');
    }
  }

  async #call(params: Message['params'], signal: AbortSignal): Promise<object> {
    const { name, arguments: given = {}, _meta: meta } = params;
    if (typeof name !== 'string') throw new RequestError(INVALID_PARAMS, 'params.name: a string is required');
    if (!isRecord(given)) throw new RequestError(INVALID_PARAMS, 'params.arguments: an object is required');
    const tool = this.#tools.get(name);
    if (tool === undefined) throw new RequestError(INVALID_PARAMS, `Tool ${name} not found`);
    const token = isRecord(meta) ? meta['progressToken'] : undefined;
    const report = isId(token)
      ? async (piece: ProgressPiece) => {
          if (signal.aborted) return;
          await this.#send({ method: 'notifications/progress', params: progressOf(piece, token) });
        }
      : undefined;
    return tool.call(given, { ...toldBy(meta), signal, report });
  }

  /** Resolves when the output takes more. A broken output ends the process, see index.ts. */
  async #send(message: object): Promise<void> {
    if (this.#output.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)) return;
    await new Promise<void>((resolve) => this.#output.once('drain', resolve));
  }
}

/** What the client says in a call's `_meta`. */
export function toldBy(meta: unknown): Pick<CallContext, 'maxBytes' | 'isRestored'> {
  const told = isRecord(meta) ? meta : {};
  const value = told[MAX_RESULT_META];
  const maxBytes = typeof value === 'number' && value > 0 ? value : DEFAULT_RESULT_BYTES;
  return { maxBytes: Math.min(maxBytes, DEFAULT_RESULT_BYTES), isRestored: told[RESTORED_META] === true };
}

/**
 * Calls that change nothing, so that the code of both processes is loaded and compiled while the sandbox still waits: else the
 * first call, which a person waits for, takes ten times as long as the later ones.
 */
async function warmUp(tools: ReadonlyMap<string, Tool>): Promise<void> {
  const call = { signal: AbortSignal.timeout(WARM_UP_MS), maxBytes: DEFAULT_RESULT_BYTES };
  for (const [name, args] of WARMING) await tools.get(name)?.call(args, call);
}

export function progressOf({ stream, text, total }: ProgressPiece, progressToken: Id): Record<string, unknown> {
  return { progressToken, progress: total, message: text, _meta: { [STREAM_META]: stream } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is Id {
  return typeof value === 'string' || typeof value === 'number';
}
