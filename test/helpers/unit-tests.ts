/** Which test files need neither Redis nor Docker nor an installed package: derived from what they import at run time. */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/test. */
export const TESTS = fileURLToPath(new URL('../', import.meta.url));

/** Helpers that start or reach Redis or Docker, or that `npm test` prepares something for. Seen from dist/test. */
export const SERVICE_HELPERS: readonly string[] = [
  'conformance/suite.js',
  'helpers/docker.js',
  'helpers/dockerd.js',
  'helpers/programs.js',
  'helpers/redis.js',
];

/** `import … from './x.js'`, `import './x.js'`, `import('./x.js')`, and `new URL('./x.js', …)` of a child process or thread. */
const IMPORT = /\b(?:from|import|import\(|new URL\()\s*['"]((?:\.{1,2}\/)?[\w./-]+\.js)['"]/g;

/** Benches are tested too, and start what they measure. Seen from dist/test. */
const FOLDERS = ['.', '../bench'];

/** File → the files of dist/test and dist/bench that it loads itself. Types are erased from dist, so only what runs counts. */
export async function readTestImports(): Promise<Map<string, string[]>> {
  const listed = await Promise.all(
    FOLDERS.map(async (folder) => {
      const names = await readdir(join(TESTS, folder), { recursive: true });
      return names.filter((name) => name.endsWith('.js')).map((name) => join(folder, name));
    }),
  );
  const files = listed.flat();
  const known = new Set(files);
  const read = files.map(async (file) => {
    const text = await readFile(join(TESTS, file), 'utf8');
    const targets = [...text.matchAll(IMPORT)].map(([, target = '']) =>
      relative(TESTS, join(TESTS, dirname(file), target)),
    );
    return [file, targets.filter((target) => known.has(target))] as const;
  });
  return new Map(await Promise.all(read));
}

/** Each file that `file` loads, itself included. */
export function closureOf(file: string, imports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set([file]);
  for (const each of seen) for (const target of imports.get(each) ?? []) seen.add(target);
  return seen;
}

/** The unit tests, seen from dist/test, sorted. */
export function selectUnitTests(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const tests = [...imports.keys()].filter((file) => file.endsWith('.test.js')).sort();
  return tests.filter((file) => {
    const closure = closureOf(file, imports);
    return !SERVICE_HELPERS.some((helper) => closure.has(helper));
  });
}
