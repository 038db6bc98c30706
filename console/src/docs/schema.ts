/** A JSON schema as a list of fields. */
import { el, words } from './elements.js';

export interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  additionalProperties?: Schema | boolean;
}

/** Deeper ones would be pages. */
const DEEPEST = 6;

export function schemaList(schema: Schema, resolve: (ref: string) => Schema, depth = 0): HTMLElement {
  const whole = schema.$ref === undefined ? schema : resolve(schema.$ref);
  const choices = whole.anyOf ?? whole.oneOf;
  if (depth >= DEEPEST) return el('p', {}, ['…']);
  if (choices) {
    const items = choices.map((each) => el('li', {}, [typeWord(each), schemaList(each, resolve, depth + 1)]));
    return el('div', {}, [el('p', {}, ['One of:']), el('ul', { class: 'docs-choices' }, items)]);
  }
  if (whole.items) return schemaList(whole.items, resolve, depth + 1);
  const fields = Object.entries(whole.properties ?? {});
  if (fields.length === 0) return el('p', { class: 'docs-type' }, [typeWord(whole)]);
  return el(
    'dl',
    { class: 'docs-fields' },
    fields.flatMap(([name, field]) => {
      const optional = whole.required?.includes(name) !== true;
      const shown = field.$ref === undefined ? field : resolve(field.$ref);
      const hasMore = Boolean(
        shown.properties ??
        shown.anyOf ??
        shown.oneOf ??
        shown.items?.properties ??
        shown.items?.anyOf ??
        shown.items?.oneOf,
      );
      return [
        el('dt', {}, [
          el('code', {}, [name]),
          ' ',
          el('span', { class: 'docs-type' }, [`${typeWord(shown)}${optional ? ', optional' : ''}`]),
        ]),
        el('dd', {}, [...words(shown.description ?? ''), ...(hasMore ? [schemaList(shown, resolve, depth + 1)] : [])]),
      ];
    }),
  );
}

function typeWord({ type, const: only, enum: several, items, anyOf, oneOf, properties }: Schema): string {
  if (only !== undefined) return JSON.stringify(only);
  if (several) return several.map((each) => JSON.stringify(each)).join(' or ');
  if (type === 'array') return `list of ${items ? typeWord(items) : 'anything'}`;
  if (anyOf ?? oneOf) return 'one of several';
  const kind = properties?.['type']?.const ?? properties?.['kind']?.const;
  if (typeof kind === 'string') return kind;
  return type ?? 'anything';
}
