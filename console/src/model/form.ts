/** A form from the flat schema of an MCP question, and what was entered in it. Pure. */
import { oneLine } from './plain.js';

export interface Field {
  name: string;
  label: string;
  hint: string;
  kind: 'text' | 'number' | 'integer' | 'boolean';
  options?: { value: string; label: string }[];
  required: boolean;
  initial: string;
}

type Json = Record<string, unknown>;

/** MCP's questions have one level: texts, numbers, yes or no, and one of several. */
export function fieldsOf(schema: Json | undefined): Field[] {
  const properties = objectOf(schema?.['properties']);
  const required = listOf(schema?.['required']);
  return Object.entries(properties).map(([name, given]) => {
    const property = objectOf(given);
    const { title, description, type, default: initial } = property;
    const options = optionsOf(property);
    return {
      name,
      label: oneLine(typeof title === 'string' && title !== '' ? title : name),
      hint: typeof description === 'string' ? oneLine(description, 1_000) : '',
      kind: type === 'number' || type === 'integer' || type === 'boolean' ? type : 'text',
      ...(options && { options }),
      required: required.includes(name),
      initial:
        typeof initial === 'string' || typeof initial === 'number' || typeof initial === 'boolean'
          ? String(initial)
          : '',
    };
  });
}

/** Leaves out the fields that are empty, since the server knows the defaults. */
export function readForm(
  fields: readonly Field[],
  entered: Pick<FormData, 'get'>,
): { content: Json } | { problem: string } {
  const content: Json = {};
  for (const { name, label, kind } of fields) {
    const value = entered.get(name);
    if (kind === 'boolean') content[name] = value !== null;
    else if (typeof value !== 'string' || value === '') continue;
    else if (kind === 'text') content[name] = value;
    else {
      const number = Number(value);
      if (!Number.isFinite(number) || (kind === 'integer' && !Number.isInteger(number))) {
        return { problem: `${label} is no ${kind === 'integer' ? 'whole number' : 'number'}` };
      }
      content[name] = number;
    }
  }
  return { content };
}

function optionsOf({ enum: values, enumNames, oneOf, anyOf }: Json): Field['options'] {
  if (Array.isArray(values)) {
    const names = listOf(enumNames);
    return listOf(values).map((value, place) => ({
      value: String(value),
      label: oneLine(String(names[place] ?? value)),
    }));
  }
  const choices = listOf(oneOf ?? anyOf)
    .map(objectOf)
    .filter((each) => 'const' in each);
  if (choices.length === 0) return undefined;
  return choices.map(({ const: value, title }) => ({ value: String(value), label: oneLine(String(title ?? value)) }));
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
