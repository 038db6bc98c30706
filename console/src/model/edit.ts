/** A form to edit a call's arguments in, from the tool's schema, and what was entered in it. Pure. */
import { oneLine } from './plain.js';

type Json = Record<string, unknown>;

export interface EditField {
  name: string;
  label: string;
  hint: string;
  /** `json`: what the others cannot show, as text. */
  kind: 'text' | 'number' | 'integer' | 'boolean' | 'choice' | 'json';
  /** Of a choice. */
  options: string[];
  required: boolean;
  /** As the model has given it; undefined: it has not. */
  given: unknown;
  initial: string;
}

/** So many fields can be looked over. */
const MOST_FIELDS = 40;

/** Empty where a form says less than the JSON: without a schema of an object, or with very many fields. */
export function editFields(schema: Json | undefined, args: Json): EditField[] {
  const properties = objectOf(schema?.['properties']);
  const required = Array.isArray(schema?.['required']) ? (schema['required'] as unknown[]) : [];
  const names = [...new Set([...Object.keys(properties), ...Object.keys(args)])];
  if (Object.keys(properties).length === 0 || names.length > MOST_FIELDS) return [];
  return names.map((name) => {
    const property = objectOf(properties[name]);
    const { title, description } = property;
    const given = Object.hasOwn(args, name) ? args[name] : undefined;
    const options = choicesOf(property);
    const kind = kindOf(property, options, given);
    return {
      name,
      label: oneLine(typeof title === 'string' && title !== '' ? title : name, 100),
      hint: typeof description === 'string' ? oneLine(description, 1_000) : '',
      kind,
      options,
      required: required.includes(name),
      given,
      initial: textOf(kind, given),
    };
  });
}

/** What nobody has touched stays as the model has given it, to the letter. What is empty and was not given is left out. */
export function readEdit(
  fields: readonly EditField[],
  entered: Pick<FormData, 'get'>,
): { args: Json } | { problem: string } {
  // An argument may be called __proto__.
  const args: [string, unknown][] = [];
  for (const field of fields) {
    const { name, label, kind, given, initial } = field;
    const value = entered.get(name);
    if (typeof value !== 'string') continue;
    // A form gives each line end as two characters.
    const text = value.replaceAll('\r\n', '\n');
    if (text === initial.replaceAll(/\r\n?/g, '\n')) {
      if (given !== undefined) args.push([name, given]);
      continue;
    }
    if (kind === 'text') args.push([name, text]);
    else if (text === '') continue;
    else if (kind === 'choice') args.push([name, text]);
    else if (kind === 'boolean') args.push([name, text === 'true']);
    else if (kind === 'json') {
      const read = parse(text);
      if (!read) return { problem: `${label} is no JSON` };
      args.push([name, read.value]);
    } else {
      const number = Number(text);
      if (!Number.isFinite(number) || (kind === 'integer' && !Number.isInteger(number))) {
        return { problem: `${label} is no ${kind === 'integer' ? 'whole number' : 'number'}` };
      }
      args.push([name, number]);
    }
  }
  return { args: Object.fromEntries(args) };
}

/** All arguments as one text. */
export function readJsonEdit(text: string): { args: Json } | { problem: string } {
  const read = parse(text);
  if (!read) return { problem: 'This is no JSON' };
  const { value } = read;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { problem: 'Arguments are an object: { … }' };
  }
  return { args: value as Json };
}

function kindOf({ type }: Json, options: readonly string[], given: unknown): EditField['kind'] {
  const fits = (of: string): boolean => given === undefined || typeof given === of;
  if (options.length > 0) return given === undefined || options.includes(given as string) ? 'choice' : 'json';
  if (type === 'string' && fits('string')) return 'text';
  if ((type === 'number' || type === 'integer') && fits('number')) return type;
  if (type === 'boolean' && fits('boolean')) return 'boolean';
  return 'json';
}

/** Of texts alone; a list with others is edited as JSON. */
function choicesOf({ enum: values }: Json): string[] {
  if (!Array.isArray(values) || values.length > 100) return [];
  const texts = values.filter((value): value is string => typeof value === 'string' && value !== '');
  return texts.length === values.length ? texts : [];
}

function textOf(kind: EditField['kind'], given: unknown): string {
  if (given === undefined) return '';
  return kind === 'json' || typeof given !== 'string' ? JSON.stringify(given, undefined, 2) : given;
}

function parse(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
