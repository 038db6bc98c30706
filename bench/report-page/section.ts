/** The section of the page for one result. */
import type { BenchResult, Plot, Ratio, Table } from '../suite/bench.js';
import { aimText, cell, figure } from '../suite/terminal.js';
import { aligned } from './aligned.js';
import { markup, type Html, type Part } from './html.js';
import { setupText } from './setup.js';
import { readVerdict } from './verdict.js';

/** `plotId`: the id of each plot's element, by which the script finds it. */
export function section(result: BenchResult, plotId: (index: number) => string): Html {
  const { bench, question, ratios, tables, plots, doubts } = result;
  return markup`<section id="bench-${bench}">
<h2>${bench}</h2>
<p class="question">${question}</p>
<p class="run">${runText(result)}</p>
${settingsList(result)}
${ratios.length > 0 ? ratioTable(ratios) : ''}
${tables.map(dataTable)}
${plots.map((plot, index) => figureOf(plot, plotId(index)))}
${doubts.length > 0 ? markup`<h3>Doubts</h3>\n<ul class="doubts">${doubts.map((doubt) => markup`<li>${doubt}</li>`)}</ul>` : ''}
</section>
`;
}

export function ratioRow(ratio: Ratio, before: Part = ''): Html {
  const word = readVerdict(ratio);
  return markup`<tr>${before}<th scope="row">${ratio.name}</th><td>${figure(ratio)}</td><td>${aimText(ratio)}</td><td class="verdict ${word}">${word}</td></tr>
`;
}

function ratioTable(ratios: readonly Ratio[]): Html {
  return markup`<div class="wide"><table>
<thead><tr><th scope="col">figure</th><th scope="col">value</th><th scope="col">aim</th><th scope="col"></th></tr></thead>
<tbody>${ratios.map((ratio) => ratioRow(ratio))}</tbody>
</table></div>`;
}

function runText(result: BenchResult): string {
  const at = result.startedAt.slice(0, 16).replace('T', ' ');
  return `${result.form} form, ${at} UTC, ${cell(result.seconds)} s; ${setupText(result)}`;
}

function settingsList({ settings }: BenchResult): Html {
  return markup`<dl class="settings">${Object.entries(settings).map(
    ([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl>`;
}

function dataTable({ title, head, rows }: Table): Html {
  return markup`<h3>${title}</h3>
<div class="wide"><table>
<thead><tr>${head.map((name) => markup`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([name = '', ...figures]) =>
      markup`<tr><th scope="row">${cell(name)}</th>${figures.map((value) => markup`<td>${cell(value)}</td>`)}</tr>\n`,
  )}</tbody>
</table></div>
`;
}

/** With its figures as a table, for those who cannot see the plot and for browsers without scripts. */
export function figureOf(plot: Plot, id: string): Html {
  const [xs, ...lines] = aligned(plot);
  const rows = xs.map((x, index) => [x, ...lines.map((line) => line[index] ?? '')]);
  return markup`<figure>
<figcaption>${plot.title}</figcaption>
<div class="plot" id="${id}" role="img" aria-label="${plot.y} by ${plot.x}; its figures are in the table below"></div>
<details><summary>figures</summary>
${dataTable({ title: plot.y, head: [plot.x, ...plot.lines.map(({ name }) => name)], rows })}
</details>
</figure>
`;
}
