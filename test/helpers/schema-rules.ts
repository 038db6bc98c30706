/** Judges a tool's input schema as the Messages API would, by the meta-schema of 2020-12. Runs in tests. */
import { Ajv2020 } from 'ajv/dist/2020.js';

const PROPERTY_NAME = /^[a-zA-Z0-9_.-]{1,64}$/;

/** The API compiles patterns with Python's `re`, which does not know what is listed here. */
const NOT_PYTHON = /\\[pPkuxc0-9]|\(\?<[^=!]/;

const DATA = ['enum', 'const', 'default', 'examples', 'required', 'dependentRequired'];
const NAMED = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'];

const ajv = new Ajv2020({
  strict: false,
  allErrors: true,
  logger: false,
  validateFormats: false,
});

/** `at` is `tools.3.custom.input_schema`. */
export function checkSchema(schema: Record<string, unknown>, at: string, problems: string[]): void {
  if (schema['type'] !== 'object') problems.push(`${at}.type: Input should be 'object'`);
  if (['oneOf', 'allOf', 'anyOf'].some((key) => key in schema)) {
    problems.push(`${at}: input_schema does not support oneOf, allOf, or anyOf at the top level`);
  }
  if (ajv.validateSchema(schema) !== true) {
    problems.push(
      `${at}: JSON schema is invalid. It must match JSON Schema draft 2020-12 (${ajv.errorsText(ajv.errors)})`,
    );
  }
  checkWords(schema, at, problems);
  const { properties } = schema;
  for (const name of Object.keys(typeof properties === 'object' && properties !== null ? properties : {})) {
    if (!PROPERTY_NAME.test(name)) {
      problems.push(`${at}.properties: Property keys should match pattern '${PROPERTY_NAME.source}'`);
    }
  }
}

/** What the meta-schema leaves open. */
function checkWords(schema: unknown, at: string, problems: string[]): void {
  if (Array.isArray(schema)) for (const item of schema) checkWords(item, at, problems);
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'enum' && Array.isArray(value) && value.length === 0) problems.push(`${at}: enum must not be empty`);
    if (key === 'pattern') checkPattern(value, at, problems);
    if (DATA.includes(key)) continue;
    if (!NAMED.includes(key)) checkWords(value, at, problems);
    else for (const inner of Object.values(value as object)) checkWords(inner, at, problems);
    if (key === 'patternProperties') for (const name of Object.keys(value as object)) checkPattern(name, at, problems);
  }
}

function checkPattern(pattern: unknown, at: string, problems: string[]): void {
  const isGood = typeof pattern === 'string' && !NOT_PYTHON.test(pattern) && isRegExp(pattern);
  if (!isGood) problems.push(`${at}: JSON schema is invalid: ${String(pattern)} is not a 'regex'`);
}

function isRegExp(text: string): boolean {
  try {
    return new RegExp(text, 'u').source !== '';
  } catch {
    return false; // that is the answer
  }
}
