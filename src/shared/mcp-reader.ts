/**
 * The one door for what MCP servers send, however they are reached: finds the request that an answer belongs to, and reads
 * what does not quite follow the protocol, before the SDK judges it. One for each stream. Agent threads and docker thread.
 */
import {
  parseJSONRPCMessage,
  PROTOCOL_VERSION_META_KEY,
  type JSONRPCMessage,
  type RequestId,
} from '@modelcontextprotocol/client';
import { cutText } from './cut-text.js';
import { isRecord, withoutNulls, type Loose } from './loose.js';
import { readResult, type AskedRequest } from './mcp-results.js';

/** JSON-RPC’s “internal error”. */
const INTERNAL_ERROR = -32_603;
const MAX_ERROR_TEXT = 500;

interface Waiting extends AskedRequest {
  /** How many notifications had been sent before it. */
  after: number;
}

export class McpReader {
  /** Requests without an answer, as their ids are on the wire. */
  readonly #waiting = new Map<RequestId, Waiting>();
  /** Code beside the server writes into its stream too, and may answer only what it has the id of. */
  needsIds = false;
  #notifications = 0;
  /** So many of them have been read by the server: it has answered a request that was sent later. */
  #passed = 0;

  /** Our own message, as it is sent. */
  noteSent(message: JSONRPCMessage): void {
    if (!('method' in message)) return;
    const { method, params } = message;
    if ('id' in message) {
      const isModern = params?._meta?.[PROTOCOL_VERSION_META_KEY] !== undefined;
      const uri = method === 'resources/read' ? String(params?.['uri']) : '';
      this.#waiting.set(message.id, { method, isModern, uri, after: this.#notifications });
      return;
    }
    this.#notifications++;
    if (method === 'notifications/cancelled') this.forget(params?.['requestId']);
  }

  /** The request waits no longer. */
  forget(id: unknown): void {
    this.#waiting.delete(id as RequestId);
  }

  isWaiting(id: unknown): boolean {
    return this.#waiting.has(id as RequestId);
  }

  /**
   * The request that the message answers; undefined for one that is no answer, or nobody's. `of`: the only request whose
   * answer comes this way, so that an answer without an id is its own.
   */
  answered(message: Loose, of?: RequestId): RequestId | undefined {
    const { id, method, jsonrpc, result, error } = message;
    if (typeof method === 'string') return undefined;
    // A program may log objects with an id.
    if (jsonrpc === undefined && result === undefined && error === undefined) return undefined;
    if (id === undefined || id === null) return of !== undefined && this.isWaiting(of) ? of : this.#onlyOne();
    if (this.isWaiting(id)) return id as RequestId;
    // Some servers answer 7 as "7", and the reverse.
    const other =
      typeof id === 'number' ? String(id) : typeof id === 'string' && /^\d{1,15}$/.test(id) ? Number(id) : id;
    return this.isWaiting(other) ? (other as RequestId) : undefined;
  }

  /** As the SDK takes it. Undefined: it is no message, or a result for nobody. */
  read(message: Loose, of?: RequestId): JSONRPCMessage | undefined {
    if (typeof message['method'] === 'string') return readOwn(message);
    const id = this.answered(message, of);
    if (id === undefined) return readNameless(message);
    const asked = this.#waiting.get(id)!;
    this.#waiting.delete(id);
    this.#passed = Math.max(this.#passed, asked.after);
    const { id: named = null } = message;
    if (named === null && of === undefined && this.needsIds) {
      return droppedAnswer(id, 'it does not say to which request it belongs');
    }
    return readAnswer(id, asked, message);
  }

  /** A server may answer a notification, with an error that names no request. */
  #onlyOne(): RequestId | undefined {
    const [first] = this.#waiting;
    if (!first || this.#waiting.size > 1) return undefined;
    const [id, { after }] = first;
    return this.#notifications === this.#passed && after === this.#passed ? id : undefined;
  }
}

/** An error that belongs to no request of ours, or to one of several: the client notes it. */
function readNameless({ jsonrpc, id, error }: Loose): JSONRPCMessage | undefined {
  if (jsonrpc !== '2.0' || (id !== undefined && id !== null) || !isRecord(error)) return undefined;
  const { code, message } = error;
  return Number.isInteger(code) && typeof message === 'string'
    ? { jsonrpc, error: { code: code as number, message } }
    : undefined;
}

/** The request fails at once, and no other. */
export function droppedAnswer(id: RequestId, problem: string): JSONRPCMessage {
  return failedAnswer(id, INTERNAL_ERROR, `the answer was dropped: ${problem}`);
}

function failedAnswer(id: RequestId, code: number, message: string, data?: unknown): JSONRPCMessage {
  return { jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } };
}

function readAnswer(id: RequestId, asked: AskedRequest, { jsonrpc, result, error }: Loose): JSONRPCMessage {
  if (typeof jsonrpc === 'string' && jsonrpc !== '2.0') return droppedAnswer(id, 'it is no JSON-RPC 2.0 answer');
  if (error !== undefined && error !== null) return readError(id, error);
  if (result === undefined) return droppedAnswer(id, 'it has neither a result nor an error');
  const read = readResult(asked, result);
  if (typeof read === 'string') return droppedAnswer(id, `to ${asked.method}, ${read}`);
  return { jsonrpc: '2.0', id, result: read };
}

function readError(id: RequestId, error: unknown): JSONRPCMessage {
  if (!isRecord(error)) return failedAnswer(id, INTERNAL_ERROR, typeof error === 'string' ? error : toldOf(error));
  const { code, message, data } = error;
  const number = typeof code === 'string' ? Number(code) : code;
  const text = typeof message === 'string' && message !== '' ? message : toldOf(error);
  return failedAnswer(id, Number.isInteger(number) ? (number as number) : INTERNAL_ERROR, text, data ?? undefined);
}

function toldOf(error: unknown): string {
  return `the server answered with an error that has no message: ${cutText(JSON.stringify(error), MAX_ERROR_TEXT)}`;
}

/** A request or a notification of the server. Many write `"id": null` for a notification, and null for what is absent. */
function readOwn(given: Loose): JSONRPCMessage | undefined {
  const { jsonrpc, id, method, params } = withoutNulls(given);
  // A log message may be about null.
  const data = isRecord(params) && params['data'] === null ? { data: null } : {};
  const known = { jsonrpc, id, method, params: isRecord(params) ? { ...withoutNulls(params), ...data } : undefined };
  try {
    return parseJSONRPCMessage(withoutNulls(known));
  } catch {
    return undefined; // not JSON-RPC
  }
}
