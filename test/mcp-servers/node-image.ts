/** Images of the MCP servers that tests run, each bundled into one file over the workspace image, which has Node. Runs in tests. */
import { build } from 'esbuild';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { docker, WORKSPACE_IMAGE } from '../helpers/docker.js';
import { ENTRIES } from './programs.js';

export type ProgramName = keyof typeof ENTRIES;

export interface NodeImage {
  readonly tag: string;
  remove(): Promise<void>;
}

/** Where the bundles are inside. */
export const inside = (name: ProgramName): string => `/app/bin/${name}.mjs`;

let made = 0;

/** All servers are in it; `runs` is what it starts. Its name does not say what it is, since that is not to be known by it. */
export async function makeNodeImage(runs: ProgramName, ...args: string[]): Promise<NodeImage> {
  const tag = `fairlead-test-node:${process.pid}-${++made}`;
  const context = pack();
  const command = JSON.stringify(['node', inside(runs), ...args]);
  context.entry({ name: 'Dockerfile' }, `FROM ${WORKSPACE_IMAGE}\nCOPY app /app\nENTRYPOINT ${command}\n`);
  for (const [name, source] of await bundles()) context.entry({ name: `app/${name}` }, source);
  context.finalize();
  const progress = await docker().buildImage(Readable.from([await buffer(context)], { objectMode: false }), { t: tag });
  const said = (await buffer(progress)).toString();
  if (said.includes('"error"')) throw new Error(`the image was not built: ${said}`);
  return { tag, remove: async () => void (await docker().getImage(tag).remove({ force: true })) };
}

let bundled: Promise<[string, Buffer][]> | undefined;

function bundles(): Promise<[string, Buffer][]> {
  bundled ??= Promise.all(Object.entries(ENTRIES).map(bundle)).then((files) => [...files, ...documents()]);
  return bundled;
}

async function bundle([name, entry]: [string, string]): Promise<[string, Buffer]> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    logLevel: 'error',
    // What npm calls CommonJS asks for Node's own modules by `require`.
    banner: { js: "import { createRequire as _r } from 'node:module'; const require = _r(import.meta.url);" },
  });
  return [`bin/${name}.mjs`, Buffer.from(outputFiles[0]?.contents ?? [])];
}

/** What server-everything reads beside its code. */
function documents(): [string, Buffer][] {
  const folder = join(dirname(ENTRIES.everything), 'docs');
  return readdirSync(folder).map((file) => [`docs/${file}`, readFileSync(join(folder, file))]);
}
