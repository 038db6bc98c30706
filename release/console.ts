/**
 * Builds the console: checks its types, bundles it into dist/console and compresses what the front sends. Part of `npm run build`; when
 * nothing has changed it does nothing.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { run } from './run.js';

/** The repository, seen from dist/release. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TARGET = join(ROOT, 'dist/console');
/** Of the sources that were built last. */
const STAMP = join(ROOT, 'dist/.console-stamp');
const SOURCES = ['console', 'src/client', 'src/shared', 'package-lock.json', 'tsconfig.json', 'release/console.ts'];
/** What is text; pictures are compressed already. */
const TEXTS = new Set(['.css', '.html', '.js', '.svg', '.webmanifest']);

const stamp = await stampOf(SOURCES);
const built = existsSync(join(TARGET, 'index.html')) && existsSync(STAMP) ? await readFile(STAMP, 'utf8') : '';
if (built !== stamp) {
  await build();
  await writeFile(STAMP, stamp);
}

async function build(): Promise<void> {
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'console/tsconfig.json'], {
    cwd: ROOT,
  });
  const fresh = join(ROOT, 'dist/.console-new');
  await rm(fresh, { recursive: true, force: true });
  const vite = await import('vite');
  const configFile = join(ROOT, 'console/vite.config.ts');
  await vite.build({ configFile, logLevel: 'warn', build: { outDir: fresh } });
  await compressAll(fresh);
  // The folder beside them is the compiler's: tests read modules of the console there.
  await mkdir(TARGET, { recursive: true });
  await rm(join(TARGET, 'assets'), { recursive: true, force: true });
  await rename(join(fresh, 'assets'), join(TARGET, 'assets'));
  await cp(fresh, TARGET, { recursive: true });
  await rm(fresh, { recursive: true, force: true });
}

async function compressAll(folder: string): Promise<void> {
  const names = await readdir(folder, { recursive: true });
  for (const name of names.filter((each) => TEXTS.has(extname(each)))) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
    await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, brotli));
    await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }));
  }
}

async function stampOf(places: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const place of places) {
    const path = join(ROOT, place);
    const names = extname(place) === '' ? (await readdir(path, { recursive: true })).sort() : [''];
    for (const name of names.filter((each) => each === '' || extname(each) !== '')) {
      hash
        .update(join(place, name))
        .update('\0')
        .update(await readFile(join(path, name)));
    }
  }
  return hash.digest('hex');
}
