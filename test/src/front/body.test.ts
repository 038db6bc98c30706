import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startFront } from './front-fixture.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** Files of the front in which `what` stands. */
async function filesWith(what: RegExp): Promise<string[]> {
  const files = ['front', 'boot'].map(async (folder) => {
    const names = await readdir(join(ROOT, 'src', folder), { recursive: true });
    return names.filter((name) => name.endsWith('.ts')).map((name) => join('src', folder, name));
  });
  const found: string[] = [];
  for (const file of (await Promise.all(files)).flat()) {
    if (what.test(await readFile(join(ROOT, file), 'utf8'))) found.push(file);
  }
  return found.sort();
}

/** JSON of ten thousand parts, of a hundred levels, and of bytes beyond the limit. */
const EVIL: [name: string, body: string, status: number][] = [
  ['too many parts', JSON.stringify({ jsonrpc: '2.0', keys: Array(10_010).fill(1) }), 400],
  ['too many levels', `{"jsonrpc":"2.0","a":${'['.repeat(101)}${']'.repeat(101)}}`, 400],
  ['too many bytes', JSON.stringify({ text: 'x'.repeat(100_000) }), 413],
];

/** The form of the login page is small, and nothing parses it as JSON. */
const isForm = (path: string): boolean => path.startsWith('/v1/mcp/oauth/login/');

t.test('every route that takes a body refuses too many parts, levels and bytes, and asks no thread', async (t) => {
  const fixture = await startFront({ limits: { maxFrameBytes: 65_536 } });
  t.teardown(() => fixture.close());
  const taking = fixture.front.routes.filter(({ method, path }) => method === 'POST' && !isForm(path));
  t.ok(taking.length >= 9, 'all POST routes');
  for (const { path, access } of taking) {
    const url = fixture.url + path.replaceAll(/:\w+/g, 'x');
    for (const [name, body, known] of EVIL) {
      // Without credentials a body is no longer than a form.
      const status = access === 'open' && body.length > 16_384 ? 413 : known;
      const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
      const answer = await fetch(url, { method: 'POST', headers, body });
      t.equal(answer.status, status, `${path}: ${name}`);
      const { code } = (await answer.json()) as { code: string };
      t.equal(code, status === 413 ? 'ERR_TOO_LARGE' : 'ERR_BAD_FRAME', `${path}: ${name}`);
    }
  }
  t.strictSame(fixture.agent.calls, []);
});

t.test('a route that takes no body limits its bytes all the same, and less without credentials', async (t) => {
  const fixture = await startFront({ tokens: { ann: 'token-a' }, limits: { maxFrameBytes: 65_536 } });
  t.teardown(() => fixture.close());
  const session = fixture.agent.make('s', 'ann');
  const url = `${fixture.url}/v1/sessions/${session}`;
  const headers = { authorization: 'Bearer token-a' };
  const large = await fetch(url, { method: 'DELETE', headers, body: 'x'.repeat(65_537) });
  t.equal(large.status, 413);
  t.equal((await fetch(url, { method: 'DELETE', headers, body: 'not JSON' })).status, 204, 'a small one is dropped');
});

t.test('only the router reads bodies, and only the checked parser parses what clients send', async (t) => {
  // An upload passes bytes on that nobody here parses.
  const readers = ['src/front/body.ts', 'src/front/files/upload.ts', 'src/front/http.ts'];
  t.strictSame(await filesWith(/\bonData\(/), readers);
  t.strictSame(await filesWith(/\breadBody\(/), ['src/front/body.ts', 'src/front/router.ts']);
  t.strictSame(
    await filesWith(/\bJSON\.parse\(|\.json\(\)/),
    [
      'src/boot/pin-file.ts',
      'src/boot/server-note.ts',
      'src/front/browser/cookie-seal.ts',
      'src/front/parse-json.ts',
      'src/front/socket-io/events.ts',
      'src/front/turn-filter.ts',
      'src/front/turn-readers.ts',
      'src/front/turn-result.ts',
    ],
    'the others parse events that this server made, cookies that it has sealed, and files of its own',
  );
});
