/** Entry of a schema thread: checks values against schemas that nobody trusts. Its agent thread ends it when a check takes too long. */
import type { JsonSchemaValidator } from '@modelcontextprotocol/client';
import { LRUCache } from 'lru-cache';
import { parentPort } from 'node:worker_threads';
import type { CheckAnswer, CheckRequest } from './messages.js';
import { validatorOf } from './validator.js';

const MAX_COMPILED = 50;
const MAX_TEXT = 1_000;
/** A value of no more levels is not what is too deep for the stack. */
const MAX_LEVELS = 200;

const compiled = new LRUCache<string, JsonSchemaValidator<unknown>>({ max: MAX_COMPILED });

function check({ schema, value }: CheckRequest): CheckAnswer {
  let validate = compiled.get(schema);
  try {
    validate ??= validatorOf(JSON.parse(schema) as Record<string, unknown>);
  } catch (error) {
    return { type: 'no-schema', why: (error as Error).message.slice(0, MAX_TEXT) };
  }
  compiled.set(schema, validate);
  const parsed: unknown = JSON.parse(value);
  let result: ReturnType<typeof validate>;
  try {
    result = validate(parsed);
  } catch (error) {
    if (!(error instanceof RangeError) || isDeep(parsed)) throw error;
    return { type: 'no-schema', why: 'it refers to itself without an end' };
  }
  return result.valid ? { type: 'fits' } : { type: 'misfit', problem: result.errorMessage.slice(0, MAX_TEXT) };
}

/** Level by level, without recursion. */
function isDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; depth < MAX_LEVELS && level.length > 0; depth++) {
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  }
  return level.length > 0;
}

function answer(message: CheckAnswer): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', (request: CheckRequest) => {
  try {
    answer(check(request));
  } catch (error) {
    // A value that is too deep for the stack.
    answer({ type: 'misfit', problem: `it cannot be checked: ${(error as Error).message}`.slice(0, MAX_TEXT) });
  }
});
answer({ type: 'ready' });
