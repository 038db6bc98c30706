/** Holds answers over HTTP against their description: the status, and every field of JSON. Runs in tests. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { z } from 'zod';
import * as answers from '../../src/front/description/answer-schemas.js';
import { answerSchema } from '../../src/front/description/json-schemas.js';
import { OPERATIONS } from '../../src/front/description/operations.js';

const ajv = new Ajv2020({ strict: false, allErrors: true });
const validators = new Map<object, ValidateFunction>();
const operations = Object.entries(OPERATIONS).map(([key, operation]) => {
  const [method = '', path = ''] = key.split(' ');
  return { method, segments: path.split('/'), operation };
});

/** What does not fit; undefined: all does, or nothing is said of such an answer. */
export async function misfit(method: string, path: string, answer: Response): Promise<string | undefined> {
  const type = answer.headers.get('content-type') ?? '';
  const { status } = answer;
  if (type.startsWith('application/problem+json')) return compareBody(answers.problem, answer);
  if (status >= 400 && !(type.startsWith('application/json') && path === '/readyz')) return undefined;
  const parts = path.split('/');
  // A fixed part counts before a named one, as `/v1/mcp/oauth/…` does.
  const found = operations
    .filter((each) => each.method === method && each.segments.length === parts.length)
    .filter(({ segments }) => segments.every((part, index) => part.startsWith(':') || part === parts[index]))
    .sort((a, b) => names(a.segments) - names(b.segments));
  const operation = found[0]?.operation;
  if (!operation) return `${method} ${path} is not described`;
  const described = operation.answers[status];
  if (!described) return `the status ${status} is not described`;
  const { schema, types = [] } = described;
  if (!type.startsWith('application/json')) {
    const fits = type === '' || types.some((each) => each === '*/*' || type.startsWith(each));
    return fits ? undefined : `an answer of the type ${type} is not described`;
  }
  return schema ? compareBody(schema, answer) : undefined;
}

function names(segments: readonly string[]): number {
  return segments.filter((part) => part.startsWith(':')).length;
}

async function compareBody(schema: z.ZodType, answer: Response): Promise<string | undefined> {
  let text: string;
  try {
    text = await answer.clone().text();
  } catch {
    return undefined; // it was cut, which the test that reads it finds too
  }
  try {
    return compare(schema, JSON.parse(text));
  } catch (error) {
    return `no JSON: ${(error as Error).message}`;
  }
}

function compare(schema: z.ZodType, value: unknown): string | undefined {
  let validate = validators.get(schema);
  if (!validate) validators.set(schema, (validate = ajv.compile(answerSchema(schema, true))));
  return validate(value) ? undefined : ajv.errorsText(validate.errors);
}
