/** Fills an MCP server's form with its defaults, and checks a user's answer against it. Agent threads. */
import type { CheckOwner, ForeignSchemas } from '../schema/foreign-schemas.js';
import { FairleadError } from '../../../src/shared/errors.js';

type Form = Record<string, unknown>;

/** The content of an `accept`, with the default of each field that was left out (SEP-1034). ERR_TOOL_ARGS when it does not fit. */
export async function acceptedContent(
  schemas: Pick<ForeignSchemas, 'check'>,
  { schema, content = {}, owner }: { schema: Form; content: Record<string, unknown> | undefined; owner: CheckOwner },
): Promise<Record<string, unknown>> {
  const filled = withDefaults(schema, content);
  const fit = await schemas.check(schema, filled, owner);
  if (!fit.fits) throw new FairleadError('ERR_TOOL_ARGS', `the answer does not fit the form: ${fit.problem}`);
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
