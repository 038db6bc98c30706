/** All results as one HTML page that needs no network and no other file. */
import { createHash } from 'node:crypto';
import type { BenchResult } from '../suite/bench.js';
import { aligned } from './aligned.js';
import type { Assets } from './assets.js';
import { highlightsOf } from './highlights.js';
import { inline, jsonData, markup, type Html } from './html.js';
import { figureOf, ratioRow, section } from './section.js';
import { setups } from './setup.js';
import { readVerdict } from './verdict.js';

export function page(results: readonly BenchResult[], { styles, scripts }: Assets): string {
  const style = inline(styles);
  const script = inline(scripts);
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="${policy(style, script)}">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Fairlead: benchmarks</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>Fairlead: benchmarks</h1>
${opening(results)}
${overview(results)}
${results.map((result, index) => section(result, (plot) => plotId(index, plot)))}
</main>
<script type="application/json" id="plots">${jsonData(plotData(results))}</script>
<script>${script}</script>
</body>
</html>
`.text;
}

/** Allows only these very texts: a script that a result file might smuggle in would not run. */
function policy(style: Html, script: Html): string {
  return `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;
}

function hash({ text }: Html): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function opening(results: readonly BenchResult[]): Html[] {
  return highlightsOf(results).map(
    (
      { bench, sentence, plot },
      index,
    ) => markup`<p class="highlight">${sentence} <a href="#bench-${bench}">${bench}</a></p>
${plot ? figureOf(plot, highlightId(index)) : ''}
`,
  );
}

function overview(results: readonly BenchResult[]): Html {
  const words = results.flatMap(({ ratios }) => ratios.map(readVerdict));
  const count = (word: string): number => words.filter((each) => each === word).length;
  const doubts = results.reduce((sum, result) => sum + result.doubts.length, 0);
  return markup`<h2>All figures</h2>
<p class="summary">Aims met: ${count('met')}, missed: ${count('missed')}. Doubts, told with their benches: ${doubts}.</p>
${setups(results).map(({ setup, benches }) => markup`<p class="run">${setup} (${benches.join(', ')})</p>\n`)}
<div class="wide"><table>
<thead><tr><th scope="col">bench</th><th scope="col" class="words">figure</th><th scope="col">value</th><th scope="col">aim</th><th scope="col"></th></tr></thead>
<tbody>${results.map(overviewRows)}</tbody>
</table></div>
`;
}

/** A bench without ratios has a row, too: the link to its section. */
function overviewRows({ bench, ratios }: BenchResult): Html[] {
  const link = markup`<td class="bench"><a href="#bench-${bench}">${bench}</a></td>`;
  if (ratios.length === 0) return [markup`<tr>${link}<th scope="row"></th><td></td><td></td><td></td></tr>\n`];
  return ratios.map((ratio, index) => ratioRow(ratio, index === 0 ? link : markup`<td></td>`));
}

function plotId(result: number, plot: number): string {
  return `plot-${result}-${plot}`;
}

function highlightId(index: number): string {
  return `highlight-${index}`;
}

/** What plots.js reads. */
function plotData(results: readonly BenchResult[]) {
  const all = results.flatMap(({ plots }, result) => plots.map((plot, index) => ({ id: plotId(result, index), plot })));
  const highlights = highlightsOf(results).flatMap(({ plot }, index) =>
    plot ? [{ id: highlightId(index), plot }] : [],
  );
  return [...highlights, ...all].map(({ id, plot }) => ({
    id,
    x: plot.x,
    y: plot.y,
    log: plot.scale === 'log',
    names: plot.lines.map(({ name }) => name),
    data: aligned(plot),
  }));
}
