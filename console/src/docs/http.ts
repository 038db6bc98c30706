/** The HTTP interface, by tag. */
import { el, entry, words } from './elements.js';
import type { Section } from './main.js';
import { schemaList, type Schema } from './schema.js';

interface Media {
  content?: Record<string, { schema: Schema }>;
}

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  description?: string;
}

interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: Media;
  responses: Record<string, Media & { $ref?: string; description?: string }>;
}

export interface OpenApi {
  info: { version: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

export function httpSections({ tags, paths, components }: OpenApi): Section[] {
  const resolve = (ref: string): Schema => components.schemas[ref.split('/').at(-1)!] ?? {};
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  return tags.map(({ name, description }) => ({
    id: name.toLowerCase().replaceAll(' ', '-'),
    title: `HTTP: ${name}`,
    words: `${description}.`,
    items: all
      .filter(({ operation }) => operation.tags.includes(name))
      .map(({ path, method, operation }) =>
        entry(
          [el('code', {}, [`${method} ${path}`]), ' ', el('span', { class: 'docs-summary' }, words(operation.summary))],
          () => bodyOf(operation, resolve),
        ),
      ),
  }));
}

function bodyOf(
  { description, parameters = [], requestBody, responses }: Operation,
  resolve: (ref: string) => Schema,
): Node[] {
  const given = parameters.map(({ name, in: where, required, description: text = '' }) => [
    el('dt', {}, [
      el('code', {}, [name]),
      ' ',
      el('span', { class: 'docs-type' }, [`${where}${required ? '' : ', optional'}`]),
    ]),
    el('dd', {}, words(text)),
  ]);
  const own = Object.entries(responses).filter(([, { $ref }]) => $ref === undefined);
  return [
    ...(description === undefined ? [] : [el('p', {}, [description])]),
    ...(given.length === 0 ? [] : [el('h3', {}, ['Parameters']), el('dl', { class: 'docs-fields' }, given.flat())]),
    ...mediaOf('Body', requestBody, resolve),
    ...own.flatMap(([status, answer]) => mediaOf(`${status}: ${answer.description ?? ''}`, answer, resolve)),
  ];
}

function mediaOf(title: string, media: Media | undefined, resolve: (ref: string) => Schema): Node[] {
  if (!media) return [];
  const shown = Object.entries(media.content ?? {}).flatMap(([type, { schema }]) =>
    Object.keys(schema).length === 0 ? [el('p', {}, [el('code', {}, [type])])] : [schemaList(schema, resolve)],
  );
  return [el('h3', {}, [title]), ...shown];
}
