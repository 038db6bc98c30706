/** Entry of a schema thread: checks values against schemas that nobody trusts. Its agent thread ends it when a check takes too long. */
import type { JsonSchemaValidator } from '@modelcontextprotocol/client';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import { LRUCache } from 'lru-cache';
import { parentPort } from 'node:worker_threads';
import type { CheckAnswer, CheckRequest } from './messages.js';

const MAX_COMPILED = 50;
const MAX_TEXT = 1_000;

const compiled = new LRUCache<string, JsonSchemaValidator<unknown>>({ max: MAX_COMPILED });

function check({ schema, value }: CheckRequest): CheckAnswer {
  let validate = compiled.get(schema);
  try {
    // Each schema has a validator of its own, so that none is found by another's `$id`. A validator fetches nothing.
    validate ??= new AjvJsonSchemaValidator().getValidator(JSON.parse(schema) as Record<string, unknown>);
  } catch (error) {
    return { type: 'no-schema', why: (error as Error).message.slice(0, MAX_TEXT) };
  }
  compiled.set(schema, validate);
  const result = validate(JSON.parse(value));
  return result.valid ? { type: 'fits' } : { type: 'misfit', problem: result.errorMessage.slice(0, MAX_TEXT) };
}

function answer(message: CheckAnswer): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', (request: CheckRequest) => {
  try {
    answer(check(request));
  } catch (error) {
    // A value or a schema that is too deep for the stack.
    answer({ type: 'misfit', problem: `it cannot be checked: ${(error as Error).message}`.slice(0, MAX_TEXT) });
  }
});
answer({ type: 'ready' });
