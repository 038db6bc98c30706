/** What a person has filled into an MCP server's form: with the form's defaults, and checked. Pure; agent threads. */
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import { FairleadError } from '../../../src/shared/errors.js';

type Form = Record<string, unknown>;

/**
 * The content of an `accept`, with the default of each field that was left out (SEP-1034). ERR_TOOL_ARGS. A validator for one
 * answer: it would keep every schema that a server sends, and no idle session needs one.
 */
export function acceptedContent(schema: Form, content: Record<string, unknown> = {}): Record<string, unknown> {
  const filled = withDefaults(schema, content);
  const problem = formProblem(schema, filled);
  if (problem) throw new FairleadError('ERR_TOOL_ARGS', `the answer does not fit the form: ${problem}`);
  return filled;
}

function withDefaults({ properties }: Form, content: Record<string, unknown>): Record<string, unknown> {
  if (typeof properties !== 'object' || properties === null) return content;
  const missing = Object.entries(properties).flatMap(([name, field]): [string, unknown][] => {
    const value = (field as { default?: unknown } | null)?.default;
    return value === undefined || Object.hasOwn(content, name) ? [] : [[name, value]];
  });
  // By entries: a field may be called `__proto__`.
  return missing.length === 0 ? content : Object.fromEntries([...Object.entries(content), ...missing]);
}

/** What does not fit, in words; undefined when all does. A validator for one answer: it would keep every schema that a server sends. */
export function formProblem(schema: Form, content: unknown): string | undefined {
  let validate;
  try {
    validate = new AjvJsonSchemaValidator().getValidator(schema);
  } catch {
    return undefined; // a form that cannot be compiled must not be one that cannot be answered: the server checks it itself
  }
  const result = validate(content);
  return result.valid ? undefined : result.errorMessage;
}
