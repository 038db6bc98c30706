/**
 * Reads what authorization servers answer before the SDK does, which refuses the whole of it for a null or an empty text: nulls,
 * empty texts, form-encoded tokens, missing fields that nobody needs. What cannot be read is named by its field. Agent threads.
 */
import { specTypeSchemas, type FetchLike } from '@modelcontextprotocol/client';
import { isRecord, type Loose } from '../../../../src/shared/loose.js';

export interface ReadableOptions {
  /** Of the MCP server: the resource of metadata that names none. */
  resource: string;
  /** Tokens of Fairlead's own need no page to log in on. */
  isUsers: boolean;
}

/** What the SDK lets pass: it takes other errors for a server without metadata. The text names the field and no value. */
export class UnreadableAnswer extends TypeError {
  override name = 'UnreadableAnswer';
}

type Kind = 'resource metadata' | 'metadata' | 'token answer' | 'registration';
type Schema =
  | 'OAuthProtectedResourceMetadata'
  | 'OAuthMetadata'
  | 'OpenIdProviderDiscoveryMetadata'
  | 'OAuthTokens'
  | 'OAuthClientInformationFull';

/** Wraps the `fetch` of one server's logins. */
export function readable(fetch: FetchLike, options: ReadableOptions): FetchLike {
  return async (url, init) => {
    const response = await fetch(url, init);
    const method = (init?.method ?? 'GET').toUpperCase();
    if (method === 'GET') return readMetadata(response, new URL(url), options);
    const { body } = init ?? {};
    if (body instanceof URLSearchParams && body.has('grant_type')) return readToken(response);
    if (typeof body === 'string' && isRegistration(body)) return readRegistration(response, body);
    return response;
  };
}

async function readMetadata(
  response: Response,
  { pathname, origin }: URL,
  options: ReadableOptions,
): Promise<Response> {
  if (!response.ok) return response;
  const given = parsed(await response.text());
  // Many sites answer each address with a page.
  if (!isRecord(given)) return new Response(null, { status: 404 });
  const fields = filled(given);
  const isResource =
    pathname.includes('oauth-protected-resource') ||
    ('authorization_servers' in fields && !('token_endpoint' in fields));
  if (isResource)
    return checked('resource metadata', 'OAuthProtectedResourceMetadata', resourceFields(fields, options.resource));
  if (!['issuer', 'authorization_endpoint', 'token_endpoint'].some((name) => name in fields)) {
    return new Response(null, { status: 404 });
  }
  const isOpenId = pathname.includes('openid-configuration');
  const schema = isOpenId ? 'OpenIdProviderDiscoveryMetadata' : 'OAuthMetadata';
  return checked('metadata', schema, serverFields(fields, origin, options.isUsers));
}

function resourceFields(fields: Loose, resource: string): Loose {
  const servers = listOf(fields['authorization_servers'])?.filter((url) => URL.canParse(url));
  return { resource, ...withoutBadUrls(fields, ['resource', 'authorization_servers']), authorization_servers: servers };
}

function serverFields(fields: Loose, origin: string, isUsers: boolean): Loose {
  const endpoints = Object.fromEntries(
    ENDPOINTS.flatMap((name): [string, unknown][] => {
      const value = fields[name];
      // Some write the path alone.
      return typeof value === 'string' && value.startsWith('/') ? [[name, new URL(value, origin).href]] : [];
    }),
  );
  return {
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    jwks_uri: `${origin}/.well-known/jwks.json`,
    ...(isUsers ? {} : { authorization_endpoint: `${origin}/authorize` }),
    ...withoutBadUrls({ ...fields, ...endpoints }, NEEDED),
  };
}

const ENDPOINTS = ['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'revocation_endpoint'];
const NEEDED = ['issuer', 'authorization_endpoint', 'token_endpoint'];

async function readToken(response: Response): Promise<Response> {
  const { status } = response;
  const fields = fieldsOf(await response.text());
  if (!response.ok) return answer(status, errorFields(fields, status));
  if (!fields) throw new UnreadableAnswer('the authorization server’s token answer is neither JSON nor a form');
  if ('error' in fields && !('access_token' in fields)) return answer(200, errorFields(fields, 400));
  const { scope, expires_in: life } = fields;
  return checked('token answer', 'OAuthTokens', {
    token_type: 'Bearer',
    ...fields,
    scope: Array.isArray(scope) ? scope.join(' ') : scope,
    expires_in: numberOf(life),
  });
}

/** With an error code, which is all that is read of it. */
function errorFields(fields: Loose | undefined, status: number): Loose {
  const { error, error_description: description } = fields ?? {};
  const code = isRecord(error) ? (error['code'] ?? error['type'] ?? error['message']) : error;
  // Another status may pass, and the SDK reads it as one that does.
  const unnamed = status === 401 ? 'invalid_client' : status < 500 ? 'invalid_request' : 'server_error';
  return {
    error: typeof code === 'string' && code !== '' ? code : unnamed,
    ...(typeof description === 'string' ? { error_description: description } : {}),
  };
}

async function readRegistration(response: Response, asked: string): Promise<Response> {
  if (!response.ok) return response;
  const given = parsed(await response.text());
  if (!isRecord(given)) throw new UnreadableAnswer('the authorization server’s registration is no JSON object');
  const { redirect_uris: ours } = JSON.parse(asked) as Loose;
  const fields = withoutBadUrls(filled(given), ['redirect_uris']);
  const { client_id: id, scope } = fields;
  return checked('registration', 'OAuthClientInformationFull', {
    ...fields,
    client_id: typeof id === 'number' ? String(id) : id,
    redirect_uris: fields['redirect_uris'] ?? ours,
    scope: Array.isArray(scope) ? scope.join(' ') : scope,
    client_id_issued_at: numberOf(fields['client_id_issued_at']),
    client_secret_expires_at: numberOf(fields['client_secret_expires_at']),
  });
}

/** Throws UnreadableAnswer, which names the first field that is not as the SDK takes it. */
function checked(kind: Kind, schema: Schema, fields: Loose): Response {
  const given = filled(fields);
  const { issues } = specTypeSchemas[schema]['~standard'].validate(given);
  const path = issues?.[0]?.path?.map((part) => String(typeof part === 'object' ? part.key : part)) ?? [];
  if (!issues) return answer(200, given);
  const [name = 'a field'] = path;
  const problem = name in given ? `has a ${path.join('.')} that is not as it must be` : `has no ${name}`;
  throw new UnreadableAnswer(`the authorization server’s ${kind} ${problem}`);
}

function answer(status: number, fields: Loose): Response {
  return new Response(JSON.stringify(fields), { status, headers: { 'content-type': 'application/json' } });
}

function isRegistration(body: string): boolean {
  const asked = parsed(body);
  return isRecord(asked) && 'redirect_uris' in asked;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.trim());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Undefined for what is neither JSON nor a form. */
function fieldsOf(text: string): Loose | undefined {
  const given = parsed(text);
  if (isRecord(given)) return filled(given);
  const isForm = /(?:^|&)(?:access_token|error)=/.test(text.trim());
  return isForm ? filled(Object.fromEntries(new URLSearchParams(text.trim()))) : undefined;
}

/** Without nulls, empty texts and empty lists, which many write for what is absent. A text where a list is meant is one of its words. */
function filled(given: Loose): Loose {
  const read = Object.entries(given).map(([name, value]): [string, unknown] => {
    return [name, LIST.test(name) && typeof value !== 'boolean' ? listOf(value) : value];
  });
  return Object.fromEntries(read.filter(([, value]) => value !== null && value !== undefined && value !== ''));
}

/** Drops addresses that are none. Those in `kept` stay, to be named. */
function withoutBadUrls(fields: Loose, kept: readonly string[]): Loose {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([name, value]) =>
        kept.includes(name) ||
        !/(_uri|_url|_endpoint|_documentation)$/.test(name) ||
        (typeof value === 'string' && URL.canParse(value)),
    ),
  );
}

const LIST = /(_supported|_types|_uris|^authorization_servers|^contacts)$/;

function listOf(value: unknown): string[] | undefined {
  if (typeof value === 'string') return value.split(/\s+/).filter((part) => part !== '');
  if (!Array.isArray(value)) return undefined;
  const parts = value.filter((part): part is string => typeof part === 'string' && part !== '');
  return parts.length > 0 ? parts : undefined;
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}
