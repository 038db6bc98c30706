/** The way to the model's API: its address, and what every request to it carries. Pure; every thread. */
import type { ConfigProblem } from './config.js';

export interface ModelAccess {
  readonly apiKey: string;
  /** `ANTHROPIC_AUTH_TOKEN`, which gateways give out. '' with a key: the key counts. */
  readonly authToken: string;
  /** Without its `/v1`; '' for Anthropic's own. */
  readonly baseUrl: string;
  /** `ANTHROPIC_CUSTOM_HEADERS`, by their names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

const OWN_ADDRESS = 'https://api.anthropic.com';
const HEADER = /^([!#$%&'*+.^_`|~0-9a-z-]+):[ \t]*([\t\x20-\x7e]*)$/i;
const CREDENTIAL = /^[\x21-\x7e]*$/;

export function readModelAccess(env: NodeJS.ProcessEnv, problems: ConfigProblem[]): ModelAccess {
  const apiKey = readCredential('ANTHROPIC_API_KEY', env, problems);
  const authToken = readCredential('ANTHROPIC_AUTH_TOKEN', env, problems);
  return {
    apiKey,
    authToken: apiKey === '' ? authToken : '',
    baseUrl: readBaseUrl(env['ANTHROPIC_BASE_URL'] ?? '', problems),
    headers: readHeaders(env['ANTHROPIC_CUSTOM_HEADERS'] ?? '', problems),
  };
}

export function hasModelAccess({ apiKey, authToken }: ModelAccess): boolean {
  return apiKey !== '' || authToken !== '';
}

export function modelAddress({ baseUrl }: Pick<ModelAccess, 'baseUrl'>): string {
  return baseUrl || OWN_ADDRESS;
}

/**
 * The headers that say who asks are the same for every request. A key is sent as the SDK sends it. A gateway gets it in `x-api-key` too, where
 * some look for it alone.
 */
export function modelHeaders({ apiKey, authToken, baseUrl, headers }: ModelAccess): Record<string, string> {
  const isGateway = baseUrl !== '' && baseUrl !== OWN_ADDRESS;
  return {
    authorization: `Bearer ${apiKey || authToken}`,
    ...(apiKey !== '' && isGateway ? { 'x-api-key': apiKey } : {}),
    ...headers,
  };
}

/** A file or a template often adds a line end. */
function readCredential(name: string, env: NodeJS.ProcessEnv, problems: ConfigProblem[]): string {
  const value = env[name]?.trim() ?? '';
  if (CREDENTIAL.test(value)) return value;
  problems.push({ path: name, message: 'must be one word of printable ASCII characters' });
  return '';
}

/** People copy the address from documentation of other clients, which want it with `/v1` or with the whole path. */
function readBaseUrl(given: string, problems: ConfigProblem[]): string {
  const value = given.trim();
  if (value === '') return '';
  const path = 'ANTHROPIC_BASE_URL';
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    problems.push({ path, message: 'must be a URL that starts with http:// or https://' });
    return '';
  }
  if (url.username !== '' || url.password !== '') {
    problems.push({ path, message: 'must hold no user and no password: ANTHROPIC_CUSTOM_HEADERS can say who asks' });
  }
  if (url.search !== '' || url.hash !== '') {
    problems.push({ path, message: 'must end with its path: what stands behind ? or # would be lost' });
  }
  return url.origin + url.pathname.replace(/\/+$/, '').replace(/(?:\/v1(?:\/messages)?)?\/*$/, '');
}

/** As the SDK reads it: `Name: value`, one a line. */
function readHeaders(given: string, problems: ConfigProblem[]): Record<string, string> {
  const lines = given.split(/\r?\n/).filter((line) => line.trim() !== '');
  const headers = lines.flatMap((line) => {
    const [, name, value] = HEADER.exec(line.trim()) ?? [];
    // Never the line: it may hold a key.
    if (name === undefined)
      problems.push({ path: 'ANTHROPIC_CUSTOM_HEADERS', message: 'must be lines of `Name: value`' });
    return name === undefined ? [] : [[name.toLowerCase(), value!.trim()] as const];
  });
  return Object.fromEntries(headers);
}
