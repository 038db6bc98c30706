/** `npm run bench:report`: writes the newest result of each bench as a page, and as a table in bench/README.md. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { newestOfEach, readResults, RESULTS, ROOT } from '../suite/result.js';
import { readAssets } from './assets.js';
import { page } from './page.js';
import { ratiosMarkdown, withBlock } from './readme.js';

const README = join(ROOT, 'bench', 'README.md');

const HELP = `Makes one HTML page of the newest result of each bench.

Usage: npm run bench:report -- [--out FILE] [--results FOLDER] [--readme]

  --out FILE         the page (bench/results/report.html)
  --results FOLDER   the results (bench/results)
  --readme           also writes the figures into bench/README.md
  --help             prints this

The page needs no network. \`npm run bench\` makes results.`;

process.exitCode = await main();

async function main(): Promise<number> {
  const args = parse();
  if (typeof args === 'string') {
    console.error(`${args}\n\n${HELP}`);
    return 2;
  }
  if (args.help) {
    console.log(HELP);
    return 0;
  }
  try {
    return await report(args);
  } catch (error) {
    console.error(`no report: ${(error as Error).message}`);
    return 1;
  }
}

function parse() {
  try {
    return parseArgs({
      options: {
        out: { type: 'string', default: join(RESULTS, 'report.html') },
        results: { type: 'string', default: RESULTS },
        readme: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return (error as Error).message;
  }
}

async function report({ out, results, readme }: { out: string; results: string; readme: boolean }): Promise<number> {
  const newest = newestOfEach(await readResults(results));
  if (newest.length === 0) {
    console.error(`there are no results in ${shown(results)}: \`npm run bench\` makes some`);
    return 1;
  }
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, page(newest, await readAssets()));
  console.log(shown(out));
  if (readme) {
    await writeFile(README, withBlock(await readFile(README, 'utf8'), await ratiosMarkdown(newest)));
    console.log(shown(README));
  }
  return 0;
}

function shown(path: string): string {
  return relative(process.cwd(), path) || '.';
}
