/** Messages of clients as they are meant: many serialisers write an absent field as null, which the SDK refuses. Pure; agent threads. */
import { specTypeSchemas } from '@modelcontextprotocol/server';
import { isRecord, withoutNulls, type Loose } from '../../../src/shared/loose.js';

const UNKNOWN = { name: 'unknown', version: 'unknown' };

/** Of what is no message, the value itself: the SDK refuses it. */
export function readClientMessage(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readClientMessage);
  if (!isRecord(value)) return value;
  const { error, params, result, ...rest } = value;
  if (!('method' in value)) {
    if (error !== undefined && error !== null) return { ...rest, error };
    return 'result' in value ? { ...rest, result: readResult(result ?? {}) } : value;
  }
  const read = isRecord(params) ? readParams(value['method'], params) : params;
  return { ...rest, ...(read === undefined || read === null ? {} : { params: read }) };
}

/** Why the SDK would not take this message for an `initialize` request, in words; undefined for another method. */
export function initializeProblem(message: unknown): string | undefined {
  if (!isRecord(message) || message['method'] !== 'initialize') return undefined;
  const { issues = [] } = specTypeSchemas.InitializeRequest['~standard'].validate(message);
  return wordsOf(issues) || 'it has no id';
}

interface Issue {
  message: string;
  path?: readonly unknown[] | undefined;
}

/** The first of them, with its field: `params.capabilities: …`. '' for none. */
export function wordsOf([issue]: readonly Issue[]): string {
  if (!issue) return '';
  const path = (issue.path ?? []).map((part) => String(isRecord(part) ? part['key'] : part)).join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}

function readParams(method: unknown, params: Loose): Loose {
  const read = withoutNulls(params);
  const { capabilities = {}, clientInfo = {}, inputResponses } = read;
  if (method === 'initialize') {
    read['capabilities'] = isRecord(capabilities) ? withoutNulls(capabilities) : capabilities;
    read['clientInfo'] = isRecord(clientInfo) ? { ...UNKNOWN, ...withoutNulls(clientInfo) } : clientInfo;
  }
  if (isRecord(inputResponses)) {
    read['inputResponses'] = Object.fromEntries(
      Object.entries(inputResponses).map(([key, response]) => [key, readResult(response)]),
    );
  }
  return read;
}

/** The fields of a form that were left empty are absent. */
function readResult(result: unknown): unknown {
  if (!isRecord(result) || !('action' in result)) return result;
  const { content, ...rest } = result;
  if (content === undefined || content === null) return rest;
  return { ...rest, content: isRecord(content) ? withoutNulls(content) : content };
}
