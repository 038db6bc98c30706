/** Who may import whom: no folder in a circle, and from `src` no more than types of `workers`. */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const IMPORT = /^(?:import|export) (type )?(?:[^;'"]*? from )?'(\.[^']+)';|\bimport\('(\.[^']+)'\)/gm;

interface Import {
  file: string;
  target: string;
  isType: boolean;
}

async function readImports(top: string): Promise<Import[]> {
  const names = await readdir(join(ROOT, top), { recursive: true });
  const files = names.filter((name) => name.endsWith('.ts')).map((name) => join(top, name));
  const found = files.map(async (file) => {
    const text = await readFile(join(ROOT, file), 'utf8');
    return [...text.matchAll(IMPORT)].map(([, type, from, lazy]) => {
      const target = normalize(join(dirname(file), from ?? lazy ?? '')).replace(/\.js$/, '.ts');
      return { file, target, isType: type !== undefined };
    });
  });
  return (await Promise.all(found)).flat();
}

/** Folder → the folders that it imports from. */
function arrowsOf(imports: readonly Import[]): Map<string, Set<string>> {
  const arrows = new Map<string, Set<string>>();
  for (const { file, target } of imports) {
    const [from, to] = [dirname(file), dirname(target)];
    if (from !== to) arrows.set(from, (arrows.get(from) ?? new Set()).add(to));
  }
  return arrows;
}

/** A way from a folder back to itself, if there is one. */
function findCycle(arrows: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const walk = (folder: string, path: string[]): string[] | undefined => {
    if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
    if (done.has(folder)) return undefined;
    for (const next of arrows.get(folder) ?? []) {
      const cycle = walk(next, [...path, folder]);
      if (cycle) return cycle;
    }
    done.add(folder);
    return undefined;
  };
  for (const folder of arrows.keys()) {
    const cycle = walk(folder, []);
    if (cycle) return cycle;
  }
  return undefined;
}

function count(arrows: ReadonlyMap<string, ReadonlySet<string>>): number {
  return [...arrows.values()].reduce((sum, to) => sum + to.size, 0);
}

t.test('no folder imports in a circle, through types neither', async (t) => {
  const imports = [...(await readImports('src')), ...(await readImports('workers'))];
  const arrows = arrowsOf(imports);
  const running = arrowsOf(imports.filter(({ isType }) => !isType));
  t.equal(findCycle(running), undefined, 'at run time');
  t.equal(findCycle(arrows), undefined, 'through types');
  t.comment(`${arrows.size} folders that import, ${count(arrows)} arrows, ${count(running)} of them at run time`);
});

t.test('the main thread loads nothing of another thread', async (t) => {
  const loads = (await readImports('src')).filter(({ target, isType }) => target.startsWith('workers/') && !isType);
  t.same(loads, []);
});

t.test('what every thread imports stands alone', async (t) => {
  const outside = (await readImports('src/shared')).filter(({ target }) => !target.startsWith('src/shared/'));
  t.same(outside, []);
});

t.test('the check sees a circle where there is one', async (t) => {
  const arrows = new Map(Object.entries({ a: new Set(['b']), b: new Set(['c']), c: new Set(['b']) }));
  t.same(findCycle(arrows), ['b', 'c', 'b']);
});
