/**
 * JSON Schema, check and types of a tool's arguments, from one description. Runs in the sandbox.
 * Not zod, which would add half to the memory of a waiting sandbox, for three kinds of value.
 */

type Text = {
  readonly type: 'string';
  readonly description?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly default?: string;
};

type Whole = {
  readonly type: 'integer';
  readonly description?: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly default?: number;
};

type Flag = {
  readonly type: 'boolean';
  readonly description?: string;
  readonly default?: boolean;
};

export type Property = Text | Whole | Flag;
export type Properties = Readonly<Record<string, Property>>;

/** As in `tools/list`. */
export interface InputSchema extends Record<string, unknown> {
  readonly $schema: string;
  readonly type: 'object';
  readonly properties: Properties;
  readonly required?: string[];
  readonly additionalProperties: false;
}

type ValueOf<P extends Property> = P extends Text ? string : P extends Whole ? number : boolean;

/** Checked arguments: defaults are filled in, other missing ones are undefined. */
export type ArgumentsOf<P extends Properties, R extends keyof P> = {
  [K in keyof P]: K extends R
    ? ValueOf<P[K]>
    : P[K] extends { default: unknown }
      ? ValueOf<P[K]>
      : ValueOf<P[K]> | undefined;
};

export function inputSchema(properties: Properties, required: readonly string[]): InputSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties,
    ...(required.length > 0 && { required: [...required] }),
    additionalProperties: false,
  };
}

export type Checked = { ok: true; args: Record<string, unknown> } | { ok: false; problem: string };

/** `problem` names everything that is wrong, in one line that a model can act on. */
export function checkArguments(schema: InputSchema, given: Readonly<Record<string, unknown>>): Checked {
  const problems: string[] = [];
  const args: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(schema.properties)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined && schema.required?.includes(name) !== true) {
      args[name] = property.default;
      continue;
    }
    args[name] = value;
    const problem = problemWith(property, value);
    if (problem !== undefined) problems.push(`${name}: ${problem}`);
  }
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(schema.properties, name));
  if (unknown.length > 0) problems.push(`unknown arguments: ${unknown.map((name) => JSON.stringify(name)).join(', ')}`);
  return problems.length === 0 ? { ok: true, args } : { ok: false, problem: problems.join('; ') };
}

function problemWith(property: Property, value: unknown): string | undefined {
  if (value === undefined) return `${nameOf(property)} is required`;
  switch (property.type) {
    case 'string': {
      if (typeof value !== 'string') return notA(property, value);
      const { minLength = 0, maxLength = Infinity } = property;
      if (value.length < minLength) return `at least ${minLength} characters are required`;
      return value.length > maxLength ? `at most ${maxLength} characters are allowed` : undefined;
    }
    case 'integer': {
      if (typeof value !== 'number') return notA(property, value);
      if (!Number.isInteger(value)) return 'must be an integer, without a fraction';
      if (value < property.minimum) return `must be at least ${property.minimum}`;
      return value > property.maximum ? `must be at most ${property.maximum}` : undefined;
    }
    case 'boolean':
      return typeof value === 'boolean' ? undefined : notA(property, value);
  }
}

function notA(property: Property, value: unknown): string {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  return `must be ${nameOf(property)}, not ${kind}`;
}

function nameOf({ type }: Property): string {
  return type === 'integer' ? 'an integer' : `a ${type}`;
}
