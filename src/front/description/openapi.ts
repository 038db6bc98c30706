/** The HTTP interface as OpenAPI 3.1, made from the routes and the schemas that check them. Pure. */
import type { z } from 'zod';
import { VERSION } from '../../shared/version.js';
import type { Route } from '../router.js';
import * as answers from './answer-schemas.js';
import { answerSchema, requestSchema, type JsonSchema } from './json-schemas.js';
import type { Answer, Operation, Tag } from './operation.js';
import { OPERATIONS } from './operations.js';

type DescribedRoute = Pick<Route, 'method' | 'path' | 'segments' | 'access' | 'body' | 'schema'>;

const TAGS: Record<Tag, string> = {
  Sessions: 'Conversations of the user who asks',
  Files: 'Files of a session’s workspace',
  Usage: 'What was used, and what is left',
  MCP: 'MCP servers, and Fairlead as one',
  'Log in': 'Of browsers',
  Health: 'For probes and for Prometheus',
  Administration: 'For operators and administrators',
  Pages: 'For browsers',
};

const ABOUT = `Sessions with agents over HTTP. Events, and all of a conversation, go over the WebSocket: /v1/asyncapi.json.
What a client may rely on in words: docs/protocol.md. Errors are RFC 9457 problems with a \`code\`.`;

const NAMES = new Map<z.ZodType, string>(
  Object.entries(answers).map(([name, schema]) => [schema, name[0]!.toUpperCase() + name.slice(1)]),
);

/** A test holds that no route has it. */
const UNDESCRIBED: Operation = { tag: 'Pages', summary: '', answers: {} };

/** `exact`: an answer may have no field beside those that are described, for tests. */
export function describeHttp(routes: readonly DescribedRoute[], exact = false): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const route of routes) {
    const operation = OPERATIONS[keyOf(route)] ?? UNDESCRIBED;
    (paths[pathOf(route)] ??= {})[route.method.toLowerCase()] = describe(route, operation);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Fairlead',
      version: VERSION,
      description: ABOUT,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ token: [] }, { login: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token, or a JWT of the issuer' },
        login: {
          type: 'apiKey',
          in: 'cookie',
          name: 'fairlead',
          description: 'A browser that has logged in, from pages of the server',
        },
      },
      schemas: Object.fromEntries([...NAMES].map(([schema, name]) => [name, answerSchema(schema, exact)])),
      responses: {
        Problem: {
          description: 'An error',
          content: { 'application/problem+json': { schema: refTo(answers.problem) } },
        },
      },
    },
  };
}

export function keyOf({ method, path }: Pick<Route, 'method' | 'path'>): string {
  return `${method} ${path}`;
}

export function pathOf({ segments }: Pick<Route, 'segments'>): string {
  return segments.map((part) => (part.startsWith(':') ? `{${part.slice(1)}}` : part)).join('/');
}

function describe(
  route: DescribedRoute,
  { tag, summary, query = {}, headers = {}, answers: own }: Operation,
): JsonSchema {
  const { access, segments } = route;
  const needsRole = access === 'operator' || access === 'admin';
  const parameters = [
    ...segments.filter((part) => part.startsWith(':')).map((part) => parameter('path', part.slice(1), undefined, true)),
    ...Object.entries(query).map(([name, words]) =>
      parameter('query', name.replace('!', ''), words, name.endsWith('!')),
    ),
    ...Object.entries(headers).map(([name, words]) => parameter('header', name, words, false)),
  ];
  return {
    operationId: idOf(route),
    tags: [tag],
    summary,
    ...(needsRole && { description: `Needs the role ${access}.` }),
    ...((access === 'open' || access === 'page' || access === 'probe') && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...bodyOf(route),
    responses: {
      ...Object.fromEntries(Object.entries(own).map(([status, answer]) => [status, response(answer)])),
      '4XX': { $ref: '#/components/responses/Problem' },
      '5XX': { $ref: '#/components/responses/Problem' },
    },
  };
}

function response({ words, schema, types = [] }: Answer): JsonSchema {
  const content = {
    ...(schema && { 'application/json': { schema: refTo(schema) } }),
    ...Object.fromEntries(types.map((type) => [type, { schema: {} }])),
  };
  return { description: words, ...(Object.keys(content).length > 0 && { content }) };
}

function bodyOf({ schema, body }: DescribedRoute): JsonSchema {
  if (schema) return { requestBody: { content: { 'application/json': { schema: requestSchema(schema) } } } };
  const type = {
    stream: '*/*',
    form: 'application/x-www-form-urlencoded',
    'json-text': 'application/json',
    json: 'application/json',
    none: undefined,
  }[body];
  return type === undefined ? {} : { requestBody: { required: true, content: { [type]: { schema: {} } } } };
}

function parameter(
  where: 'path' | 'query' | 'header',
  name: string,
  description: string | undefined,
  required: boolean,
): JsonSchema {
  return { name, in: where, ...(description !== undefined && { description }), required, schema: { type: 'string' } };
}

function refTo(schema: z.ZodType): JsonSchema {
  const name = NAMES.get(schema);
  if (name === undefined) throw new Error('an answer’s schema stands in answer-schemas.ts');
  return { $ref: `#/components/schemas/${name}` };
}

/** Code generators name functions after it. */
function idOf({ method, segments }: DescribedRoute): string {
  const [, first = '', ...rest] = segments;
  const words = first === 'v1' ? rest : ['root', ...(first === '' ? [] : [first]), ...rest];
  return [method.toLowerCase(), ...words.map((part) => part.replace(/^:/, 'of-'))]
    .join('-')
    .replaceAll(/[-.](\w)/g, (_, letter: string) => letter.toUpperCase());
}
