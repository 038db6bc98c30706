/** Loads the page's assets: uPlot, and the style and script beside this file's source. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from '../suite/result.js';

export interface Assets {
  styles: string;
  scripts: string;
}

const OWN = join(ROOT, 'bench', 'report-page');
const require = createRequire(import.meta.url);

export async function readAssets(): Promise<Assets> {
  return {
    styles: await together(require.resolve('uplot/dist/uPlot.min.css'), join(OWN, 'page.css')),
    scripts: await together(require.resolve('uplot/dist/uPlot.iife.min.js'), join(OWN, 'plots.js')),
  };
}

/** With line ends as a browser sees them, since its hash is taken of that. */
async function together(...paths: string[]): Promise<string> {
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  return texts.join('\n').replaceAll('\r\n', '\n');
}
