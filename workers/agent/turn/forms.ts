/** Fills an MCP server's form with its defaults, and checks a user's answer against it. Pure; agent threads. */
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import { FairleadError } from '../../../src/shared/errors.js';

type Form = Record<string, unknown>;

/** The content of an `accept`, with the default of each field that was left out (SEP-1034). ERR_TOOL_ARGS when it does not fit. */
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
  // Built from entries, since a field may be called `__proto__`.
  return missing.length === 0 ? content : Object.fromEntries([...Object.entries(content), ...missing]);
}

/** Says why the content does not fit; undefined when it does. Each check has its own validator: a kept one would keep every schema that a server sends. */
export function formProblem(schema: Form, content: unknown): string | undefined {
  let validate;
  try {
    validate = new AjvJsonSchemaValidator().getValidator(schema);
  } catch {
    return undefined; // a form that cannot be compiled can still be answered; its server checks the answer itself
  }
  const result = validate(content);
  return result.valid ? undefined : result.errorMessage;
}
