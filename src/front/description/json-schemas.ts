/** Zod schemas as JSON schemas of draft 2020-12. */
import { z } from 'zod';

export type JsonSchema = Record<string, unknown>;

/** What a client sends: fields that are not named are refused. */
export function requestSchema(schema: z.ZodType): JsonSchema {
  return toJson(schema, { io: 'input' });
}

/** What it gets. Later versions add fields, so none are forbidden, but `exact` names fields that nobody has described. */
export function answerSchema(schema: z.ZodType, exact: boolean): JsonSchema {
  return toJson(schema, {
    io: 'output',
    override: ({ jsonSchema }) => {
      if (!exact && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
}

function toJson(schema: z.ZodType, options: Parameters<typeof z.toJSONSchema>[1]): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { ...options, unrepresentable: 'any' });
  return json;
}
