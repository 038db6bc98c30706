/** Asks an MCP server's form line by line: reads its fields, describes each, parses a typed line. Pure. */
import { z } from 'zod';
import { inline } from './terminal-text.js';

/** The flat schema that MCP allows for a form: string, number, integer, boolean, enum; anything else is typed as text. */
const propertySchema = z.object({
  type: z.string().catch('string'),
  title: z.string().optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  enum: z.array(z.string()).catch([]),
  default: z.unknown().optional(),
});

const formSchema = z.object({
  properties: z.record(z.string(), propertySchema.catch({ type: 'string', enum: [] })).catch({}),
  required: z.array(z.string()).catch([]),
});

export interface Field {
  name: string;
  type: string;
  title: string;
  choices: string[];
  required: boolean;
  default: unknown;
}

export function fieldsOf(schema: Record<string, unknown> | undefined): Field[] {
  const { properties, required } = formSchema.parse(schema ?? {});
  return Object.entries(properties).map(([name, property]) => ({
    name,
    type: property.type,
    title: property.title ?? property.description ?? name,
    choices: property.enum,
    required: required.includes(name),
    default: property.default,
  }));
}

export function describeField({ title, type, choices, required, default: preset }: Field): string {
  const kind =
    choices.length > 0
      ? choices.map((choice) => inline(choice, 40)).join('|')
      : type === 'boolean'
        ? 'y/n'
        : inline(type, 20);
  const empty = preset !== undefined ? `, empty: ${inline(preset, 40)}` : required ? '' : ', may be empty';
  return `${inline(title, 100)} [${kind}${empty}]`;
}

/** The field's value; undefined when it is left out; an Error that says what is wrong with the line. */
export function parseField(field: Field, line: string): unknown {
  if (line === '') {
    if (field.default !== undefined) return field.default;
    return field.required ? new Error('this one is needed') : undefined;
  }
  if (field.choices.length > 0) {
    return field.choices.includes(line)
      ? line
      : new Error(`one of ${field.choices.map((c) => inline(c, 40)).join(', ')}`);
  }
  switch (field.type) {
    case 'boolean':
      if (/^(y|yes|true)$/i.test(line)) return true;
      return /^(n|no|false)$/i.test(line) ? false : new Error('y or n');
    case 'number':
    case 'integer': {
      const value = Number(line);
      const fits = Number.isFinite(value) && (field.type === 'number' || Number.isInteger(value));
      return fits ? value : new Error(field.type === 'integer' ? 'a whole number' : 'a number');
    }
    default:
      return line;
  }
}
