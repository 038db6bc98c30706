/**
 * Validators of JSON schemas that nobody trusts. Unlike the MCP SDK's own engine, these look only at properties that the value has
 * itself: each object inherits a `constructor` and a `toString`, which a schema may name too. Agent threads and schema threads.
 */
import type { JsonSchemaValidator } from '@modelcontextprotocol/client';
import { addFormats, AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv';
import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';

const DIALECT = /^https?:\/\/json-schema\.org\/(.+)\/schema#?$/;

/** Draft 7 has all of draft 6. */
const ENGINES = new Map<string, typeof Ajv | typeof Ajv2019 | typeof Ajv2020>([
  ['draft/2020-12', Ajv2020],
  ['draft/2019-09', Ajv2019],
  ['draft-07', Ajv],
  ['draft-06', Ajv],
]);

const OPTIONS = { strict: false, validateFormats: true, validateSchema: false, allErrors: true, ownProperties: true };

/**
 * Throws for a schema that is not valid, or of another dialect. Each schema has an engine of its own, so that none is found by
 * another's `$id`, and what is compiled goes with the validator. An engine fetches nothing.
 */
export function validatorOf(schema: Record<string, unknown>): JsonSchemaValidator<unknown> {
  const { $schema } = schema;
  const dialect = typeof $schema === 'string' ? (DIALECT.exec($schema)?.[1] ?? $schema) : 'draft/2020-12';
  const Engine = ENGINES.get(dialect);
  if (!Engine) throw new Error(`the dialect ${dialect.slice(0, 200)} is not known`);
  const engine = new Engine(OPTIONS);
  addFormats(engine);
  return new AjvJsonSchemaValidator(engine).getValidator(schema);
}
