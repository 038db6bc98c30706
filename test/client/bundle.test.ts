/** What a page loads of the client library, and what a program's compiler sees of it. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import t from 'tap';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const MAX_GZIP_BYTES = 6 * 1024;
const run = promisify(execFile);
const TSC = join(ROOT, 'node_modules/.bin/tsc');

t.setTimeout(240_000); // the compiler, on a machine that may be busy

t.test('for a browser it is 6 KiB at most, of its own files and the protocol’s constants alone', async (t) => {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(ROOT, 'dist/src/client/index.js')],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    legalComments: 'none',
  });
  const { length } = gzipSync(outputFiles[0]!.contents, { level: 9 });
  t.comment(`${outputFiles[0]!.contents.length} bytes minified, ${length} with gzip`);
  t.ok(length <= MAX_GZIP_BYTES, `${length} bytes with gzip`);
  const foreign = Object.keys(metafile.inputs).filter(
    (path) => !/dist\/src\/client\/[\w-]+\.js$/.test(path) && !path.endsWith('dist/src/shared/protocol.js'),
  );
  t.same(foreign, []);
});

const PROGRAM = `
import { Fairlead, ClientError, type SessionEvent } from 'fairlead/client';
import { Files } from 'fairlead/client/files';

const fairlead = new Fairlead({ url: 'https://ai.example.org', token: async ({ refused }) => (refused ? 'a' : 'b') });
const size0 = 0;
const session = fairlead.open({ session: 'x', after: 1 });
export async function main(): Promise<number> {
  const { id, turn = 0 } = await session.send('hello');
  for await (const event of session) {
    if (event.type === 'text:delta') console.log(event.text.length, event.offset);
    if (event.type === 'tool:approval_required') {
      const decided = await session.approve(event.callId, { remember: 'session', args: event.args });
      if (decided.type === 'tool:denied') console.log(decided.by satisfies 'user' | 'policy' | 'timeout');
    }
    if (event.type === 'connection:reconnecting') console.log(event.delayMs, event.why);
    // @ts-expect-error: no such event
    if (event.type === 'no:such') break;
  }
  // @ts-expect-error: no such answer
  void session.reply('r', 'maybe');
  const files = new Files({ url: 'https://ai.example.org', session: 'x' });
  const { body, size = 0 } = await files.read('a', { from: size0 });
  await files.write('b', body, { size });
  const { sessions, next } = await fairlead.listSessions({ limit: 1 });
  const off = session.on((event: SessionEvent) => console.log(event.type));
  off();
  return id.length + turn + sessions.length + (next?.length ?? 0) + (new ClientError('ERR_X', 'x').status ?? 0);
}
`;

t.test('its types are whole without any other package, for a page and for Node', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-client-types-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const installed = join(folder, 'node_modules/fairlead');
  await mkdir(installed, { recursive: true });
  await cp(join(ROOT, 'package.json'), join(installed, 'package.json'));
  await run(TSC, ['-p', join(ROOT, 'src/client/tsconfig.json'), '--outDir', join(installed, 'dist')]);
  const page = `const page = new Fairlead({ WebSocket });\nvoid page.deleteSession('x');\n`;
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'program.ts'), PROGRAM.replace('console.log', 'globalThis.console.log'));
  await writeFile(join(folder, 'page.ts'), PROGRAM + page);
  const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--typeRoots', folder];
  for (const args of [
    ['page.ts', '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022,dom,dom.iterable'],
    ['program.ts', '--module', 'nodenext', '--lib', 'es2022,dom'],
  ] as const) {
    const said = await run(TSC, [...args, ...strict], { cwd: folder }).catch((error: { stdout: string }) => error);
    t.equal(said.stdout, '', args[0]);
  }
});
