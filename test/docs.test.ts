/** The docs against the code: whatever a page names must be there, and whatever must be documented is on a page. */
import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseFrame } from '../src/front/frames.js';
import { configJsonSchema } from '../src/shared/config.js';
import { ERROR_TABLE } from '../src/shared/errors.js';
import type { ClientFrame, PendingApproval, PendingElicitation, ServerEvent } from '../src/shared/protocol.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');

const NOT_OURS = new Set(['node_modules', 'dist', '.git', '.tap', 'coverage', 'results', 'fairlead-data']);

/** Paths below the root, without what is built, installed or generated. */
async function filesOf(folder: string, ending: string): Promise<string[]> {
  const entries = await readdir(join(ROOT, folder), { withFileTypes: true });
  const found = entries
    .filter(({ name }) => !NOT_OURS.has(name))
    .map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesOf(path, ending);
      return entry.name.endsWith(ending) ? [path] : [];
    });
  return (await Promise.all(found)).flat().sort();
}

/** The text of the page's fenced blocks in that language. */
function fences(page: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm');
  return [...page.matchAll(fence)].map(([, text = '']) => text);
}

const withoutFences = (page: string): string => page.replaceAll(/^```[^]*?^```/gm, '');

t.test('docs/protocol.md has every code with its status', async (t) => {
  const doc = await read('docs/protocol.md');
  for (const [code, { status }] of Object.entries(ERROR_TABLE)) {
    t.match(doc, new RegExp(`\\| \`${code}\` +\\| ${status} `), code);
  }
});

/** What a field of an example must be; with `?` it may be left out. */
type Kind<V> = V extends string
  ? 'string'
  : V extends number
    ? 'number'
    : V extends boolean
      ? 'boolean'
      : V extends readonly unknown[]
        ? 'array'
        : 'object';
type Shape<E> = {
  [K in keyof E]-?: Pick<E, K> extends Required<Pick<E, K>> ? Kind<E[K]> : `${Kind<NonNullable<E[K]>>}?`;
};
type OfType<T, E = ServerEvent> = E extends { type: infer U } ? (T extends U ? Omit<E, 'type'> : never) : never;

/** Every event and every field of it: one that src/shared/protocol.ts gains or loses does not compile here. */
const EVENTS: { [T in ServerEvent['type']]: Shape<OfType<T>> } = {
  'files:changed': { turn: 'number?', changes: 'array', truncated: 'boolean?', seq: 'number' },
  'session:ready': {
    session: 'string',
    seq: 'number',
    resumed: 'boolean',
    model: 'string',
    pending: 'array',
    limits: 'object',
    user: 'string',
    role: 'string',
    expiresAt: 'number?',
    reset: 'boolean?',
    transcript: 'array?',
    transcriptNext: 'string?',
  },
  'message:accepted': { seq: 'number', id: 'string?', turn: 'number', queued: 'number', said: 'object?' },
  'turn:waiting': { turn: 'number', reason: 'string', retryAfterMs: 'number?' },
  'turn:start': { seq: 'number', turn: 'number' },
  'text:delta': { turn: 'number', block: 'number', offset: 'number', text: 'string' },
  'thinking:delta': { turn: 'number', block: 'number', offset: 'number', text: 'string' },
  text: { seq: 'number', turn: 'number', block: 'number', text: 'string' },
  'tool:approval_required': {
    seq: 'number',
    turn: 'number',
    callId: 'string',
    name: 'string',
    server: 'string',
    args: 'object',
    tool: 'object?',
    position: 'number',
    total: 'number',
    expiresAt: 'number',
  },
  'tool:approved': { seq: 'number', callId: 'string', by: 'string', args: 'object?' },
  'tool:denied': {
    seq: 'number',
    callId: 'string',
    name: 'string?',
    server: 'string?',
    by: 'string',
    reason: 'string?',
  },
  'tool:start': { seq: 'number', callId: 'string', name: 'string', server: 'string', args: 'object' },
  'tool:output': { callId: 'string', stream: 'string', offset: 'number', text: 'string' },
  'tool:result': {
    seq: 'number',
    callId: 'string',
    ok: 'boolean',
    content: 'array',
    structuredContent: 'object?',
    ms: 'number',
  },
  'elicitation:request': {
    seq: 'number',
    requestId: 'string',
    server: 'string',
    origin: 'string?',
    mode: 'string',
    message: 'string',
    schema: 'object?',
    url: 'string?',
  },
  'elicitation:resolved': { seq: 'number', requestId: 'string', action: 'string', by: 'string' },
  'turn:end': {
    seq: 'number',
    turn: 'number',
    stopReason: 'string',
    usage: 'object',
    ms: 'number',
    model: 'string',
    error: 'object?',
    cost: 'object?',
    budgets: 'array?',
  },
  notice: { seq: 'number', code: 'string', message: 'string', budget: 'object?' },
  'history:cleared': { seq: 'number' },
  'sandbox:lost': { seq: 'number', server: 'string', reason: 'string', since: 'number?', missing: 'array?' },
  error: { id: 'string?', requestId: 'string?', code: 'string', message: 'string', retryAfterMs: 'number?' },
  'sandbox:restarted': { restarted: 'number' },
  'auth:refreshed': { id: 'string?', role: 'string', expiresAt: 'number?' },
  pong: { id: 'string?' },
};

const PENDING: {
  approval: Shape<Omit<PendingApproval, 'kind'>>;
  elicitation: Shape<Omit<PendingElicitation, 'kind'>>;
} = {
  approval: {
    turn: 'number',
    callId: 'string',
    name: 'string',
    server: 'string',
    args: 'object',
    tool: 'object?',
    position: 'number',
    total: 'number',
    expiresAt: 'number',
  },
  elicitation: {
    requestId: 'string',
    server: 'string',
    origin: 'string?',
    mode: 'string',
    message: 'string',
    schema: 'object?',
    url: 'string?',
  },
};

const FRAMES: Record<ClientFrame['type'], true> = {
  message: true,
  'tool:approval': true,
  'elicitation:reply': true,
  'turn:cancel': true,
  'history:reset': true,
  'sandbox:restart': true,
  ping: true,
  'auth:refresh': true,
};

type Json = Record<string, unknown>;

/** What does not fit, in words; nothing when all does. */
function misfits({ type: _type, kind: _kind, ...value }: Json, shape: Record<string, string>): string[] {
  const unknown = Object.keys(value).filter((key) => !(key in shape));
  const wrong = Object.entries(shape).filter(([key, kind]) => {
    const field = value[key];
    if (field === undefined) return !kind.endsWith('?');
    return (Array.isArray(field) ? 'array' : typeof field) !== kind.replace('?', '');
  });
  return [
    ...unknown.map((key) => `${key} is no field of it`),
    ...wrong.map(([key, kind]) => `${key} must be: ${kind}`),
  ];
}

t.test('docs/protocol.md has an example of each client frame and each server event, and all of them fit', async (t) => {
  const examples = fences(await read('docs/protocol.md'), 'json').map((text) => JSON.parse(text) as Json);
  const missing = new Set<string>([...Object.keys(FRAMES), ...Object.keys(EVENTS)]);
  for (const example of examples) {
    const type = String(example['type']);
    if (type in FRAMES) t.same(parseFrame(JSON.stringify(example)), { ok: true, frame: example }, type);
    else if (type in EVENTS) t.same(misfits(example, EVENTS[type as ServerEvent['type']]), [], type);
    else t.match(type, /^urn:fairlead:error:/, 'the only other example is a problem');
    missing.delete(type);
  }
  t.same([...missing], [], 'types without an example');
  const pending = examples.flatMap((example) => (example['pending'] ?? []) as Json[]);
  t.same(
    pending.map(({ kind }) => kind),
    Object.keys(PENDING),
    'both kinds of pending',
  );
  for (const entry of pending) t.same(misfits(entry, PENDING[entry['kind'] as keyof typeof PENDING]), []);
});

t.test('fairlead.schema.json is what `npm run schema` makes', async (t) => {
  t.same(JSON.parse(await read('fairlead.schema.json')), JSON.parse(JSON.stringify(configJsonSchema())));
});

interface JsonSchema {
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | false;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  items?: JsonSchema;
}

/** `listen.port` and the like, each with its default where it has one. */
function* keysOf(schema: JsonSchema, path = ''): Iterable<[path: string, fallback: unknown]> {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    if (key === '$schema') continue;
    const at = path === '' ? key : `${path}.${key}`;
    if (!property.properties && !property.additionalProperties) yield [at, property.default];
    yield* keysOf(property, at);
  }
  for (const branch of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) yield* keysOf(branch, path);
  if (schema.items) yield* keysOf(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* keysOf(schema.additionalProperties, `${path}.*`);
}

/** They are there to be seen, with a value that says something. */
const SHOWN_FILLED = new Set([
  'listen.tls.cert',
  'listen.tls.key',
  'auth.tokens',
  'auth.oidc.issuer',
  'auth.oidc.audiences',
  'approvals.rules',
  'mcp.publicUrl',
  'sandbox.memoryMb',
]);

t.test('the file in docs/configuration.md has every key of the schema, with its default', async (t) => {
  const page = await read('docs/configuration.md');
  const [text = ''] = fences(page, 'jsonc');
  const file = JSON.parse(text.replaceAll(/(^|\s)\/\/.*$/gm, '').replaceAll(/,(\s*[}\]])/g, '$1')) as Json;
  for (const [path, fallback] of keysOf(configJsonSchema())) {
    const keys = path.split('.');
    if (path.includes('*') || path.includes('[]')) {
      t.ok(new RegExp(`["\`]${keys.at(-1)}["\`]`).test(page), path);
      continue;
    }
    const value = keys.reduce<unknown>((at, key) => (at as Json | undefined)?.[key], file);
    if (SHOWN_FILLED.has(path)) t.not(value, undefined, path);
    else t.same(value, fallback, path);
  }
});

interface Metric {
  name: string;
  type: string;
  labels: string[];
}

const METRIC = /\b(counter|gauge|histogram)\(\s*'(fairlead_\w+)',([^]*?)(?:\)|=>)/g;
const LABELS = /\[\s*((?:'\w+',?\s*)+)\]/;

function metricsIn(source: string): Metric[] {
  return [...source.matchAll(METRIC)].map(([, type = '', name = '', rest = '']) => {
    const labels = LABELS.exec(rest)?.[1]?.match(/\w+/g) ?? [];
    return { name, type, labels };
  });
}

t.test('docs/operations.md has every metric with its type and labels, and no other', async (t) => {
  const sources = [...(await filesOf('src', '.ts')), ...(await filesOf('workers', '.ts'))];
  const metrics = (await Promise.all(sources.map(read))).flatMap(metricsIn);
  const doc = await read('docs/operations.md');
  for (const { name, type, labels } of metrics) {
    const told = labels.map((label) => `\`${label}\``).join(', ');
    t.ok(new RegExp(`\\| \`${name}\` +\\| ${type} +\\| ${told} +\\|`).test(doc), `${name} | ${type} | ${told}`);
  }
  const known = new Set(metrics.map(({ name }) => name));
  for (const page of await filesOf('.', '.md')) {
    const named = (await read(page)).match(/\bfairlead_\w+(?<!_)\b/g) ?? [];
    t.same(
      named.filter((name) => !known.has(name)),
      [],
      `${page} names none that is not there`,
    );
  }
});

/** GitHub's name of a heading's anchor. */
function anchorOf(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutFences(page).matchAll(/^#+ (.*)$/gm)) {
    const anchor = anchorOf(heading);
    let name = anchor;
    for (let count = 1; anchors.has(name); count++) name = `${anchor}-${count}`;
    anchors.add(name);
  }
  return anchors;
}

t.test('every link between pages leads to a file and a heading that are there', async (t) => {
  for (const page of await filesOf('.', '.md')) {
    const text = withoutFences(await read(page)).replaceAll(/`[^`\n]*`/g, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : relative(ROOT, resolve(ROOT, dirname(page), path));
      const there = await access(join(ROOT, file)).then(
        () => true,
        () => false,
      );
      t.ok(there, `${page}: ${target}`);
      if (there && anchor !== undefined) t.ok(anchorsOf(await read(file)).has(anchor), `${page}: ${target}`);
    }
  }
});

t.test('every source file that a page names is there, and every npm script', async (t) => {
  const sources = [...(await filesOf('.', '.ts')), ...(await filesOf('.', '.js'))];
  const { scripts } = JSON.parse(await read('package.json')) as { scripts: Json };
  for (const page of await filesOf('.', '.md')) {
    const text = await read(page);
    for (const [, path = ''] of text.matchAll(/`((?:[\w-]+\/)*[\w-]+\.ts)`/g)) {
      t.ok(
        sources.some((source) => source === path || source.endsWith(`/${path}`)),
        `${page}: ${path}`,
      );
    }
    for (const [, script = ''] of text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)) {
      t.ok(script in scripts, `${page}: npm run ${script}`);
    }
  }
});

t.test('every log line and error that docs/operations.md explains is one that the code writes', async (t) => {
  const files = [...(await filesOf('src', '.ts')), ...(await filesOf('workers', '.ts'))];
  const code = (await Promise.all(files.map(read))).join('\n');
  const doc = await read('docs/operations.md');
  for (const heading of ['Logs', 'When something is wrong']) {
    const section = doc.slice(doc.indexOf(`## ${heading}\n`)).split('\n## ')[0] ?? '';
    const cells = [...section.matchAll(/^\| ((?:`[^`]+`(?:, )?)+)/gm)].flatMap(([, cell = '']) =>
      cell.match(/`[^`]+`/g),
    );
    t.ok(cells.length >= 5, `${heading} has a table of lines`);
    for (const cell of cells.filter((each) => each !== null)) {
      for (const part of cell.replaceAll('`', '').split(' … ')) t.ok(code.includes(part), `${heading}: ${part}`);
    }
  }
});

t.test('docs/dependencies.md gives every dependency’s reason', async (t) => {
  const doc = await read('docs/dependencies.md');
  const manifest = JSON.parse(await read('package.json')) as { dependencies: Record<string, string> };
  for (const [name, version] of Object.entries(manifest.dependencies)) {
    t.match(version, /^(npm:\w+@)?\d/, `${name} is pinned`);
    t.ok(doc.includes(name.replace('@modelcontextprotocol/server', '`/server`')), name);
  }
});
