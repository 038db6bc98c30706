/** What the server says of its own interfaces. The answers of all HTTP tests are held against it by test/helpers/checked-fetch.ts. */
import { Parser } from '@asyncapi/parser';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { text as readText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { OPERATIONS } from '../../src/front/description/operations.js';
import { text as words, tool } from '../helpers/model-server.js';
import { watchExit } from '../helpers/processes.js';
import { startStack } from '../helpers/stack.js';
import { connect } from '../helpers/ws-client.js';

interface Document {
  openapi?: string;
  asyncapi?: string;
  paths: Record<string, Record<string, { summary: string; operationId: string }>>;
  components: { messages: Record<string, { payload: object }> };
}

const stack = await startStack({ config: { auth: {} } });
t.teardown(() => stack.stop());
const { url, wsUrl } = stack.engine;
const token = await stack.engine.token();
const read = async (path: string): Promise<Document> => (await (await fetch(url + path)).json()) as Document;

t.test('every route is described, and every description is of a route', async (t) => {
  const { paths } = await read('/v1/openapi.json');
  const found = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary }]) => {
      t.not(summary, '', `${method} ${path} is described`);
      return `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
    }),
  );
  t.same(found.toSorted(), Object.keys(OPERATIONS).toSorted());
});

t.test('the description of HTTP has nothing that its linter finds', async (t) => {
  const rules = {
    'operation-2xx-response': 'off', // forms that lead elsewhere
    'no-ambiguous-paths': 'off', // a fixed part counts before a named one
  };
  const folder = t.testdir({
    'openapi.json': JSON.stringify(await read('/v1/openapi.json'), undefined, 1),
    'redocly.yaml': JSON.stringify({ extends: ['recommended'], rules }),
  });
  const bin = fileURLToPath(new URL('../../../node_modules/@redocly/cli/bin/cli.js', import.meta.url));
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  const child = spawn(process.execPath, [bin, 'lint', 'openapi.json', '--format=github-actions'], { cwd: folder, env });
  const told = [child.stdout, child.stderr].map((stream) => readText(stream));
  const { code } = await watchExit(child);
  const text = (await Promise.all(told)).join('');
  t.equal(code, 0, text);
  t.notMatch(text, /::(warning|error)/);
});

t.test('the description of the WebSocket is one that its parser takes', async (t) => {
  const answer = await fetch(`${url}/v1/asyncapi.json`);
  const { document, diagnostics } = await new Parser().parse(await answer.text());
  // Errors and warnings; the rest are hints.
  const found = diagnostics
    .filter(({ severity }) => [0, 1].includes(severity))
    .map(({ path, message }) => `${path.join('.')}: ${message}`);
  t.same(found, []);
  t.equal(document?.version(), '3.0.0');
});

t.test('examples of docs/protocol.md, and every event of a turn, fit what is said of them', async (t) => {
  const { components } = await read('/v1/asyncapi.json');
  const ajv = new Ajv2020({ strict: false });
  const check = (side: 'client' | 'server', frame: { type: string }): void => {
    const payload = components.messages[`${side}.${frame.type.replaceAll(':', '.')}`]?.payload;
    if (!payload) return void t.fail(`${frame.type} is not described`);
    t.ok(ajv.validate(payload, frame), `${JSON.stringify(frame).slice(0, 200)}: ${ajv.errorsText()}`);
  };
  const page = await readFile(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');
  const frames = [...page.matchAll(/^```json\n(.*?)\n```/gms)]
    .map(([, json]) => JSON.parse(json!) as { type: string })
    .filter(({ type }) => !type.startsWith('urn:'));
  t.ok(frames.length > 20);
  for (const frame of frames)
    check(`client.${frame.type.replaceAll(':', '.')}` in components.messages ? 'client' : 'server', frame);
  const client = await connect(wsUrl, { token });
  stack.model.enqueue(tool('list_files', {}), words('there'));
  client.say('list');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.turnEnd();
  for (const event of client.events) check('server', event);
  await client.close();
});

t.test('a client that has a description is told that it has', async (t) => {
  const first = await fetch(`${url}/v1/openapi.json`);
  await first.text();
  const etag = first.headers.get('etag') ?? '';
  t.equal((await fetch(`${url}/v1/openapi.json`, { headers: { 'if-none-match': etag } })).status, 304);
});
