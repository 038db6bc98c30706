/** Draws the page's plots. Runs in the browser, inline in the page after uPlot; not compiled. */
const plots = JSON.parse(document.getElementById('plots').textContent);
const darkness = matchMedia('(prefers-color-scheme: dark)');
const HEIGHT = 300;
const COLOURS = 8;
/** Up to as many measured values, each has a tick. */
const MAX_TICKS = 12;
let drawn = [];

function number(value) {
  if (value === null || value === undefined) return '—';
  return value.toLocaleString(
    'en',
    Math.abs(value) >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
  );
}

function options({ x, y, log, names, data }, width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = (label, more) => ({
    label,
    stroke: colour('text'),
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { stroke: colour('grid'), width: 1 },
    values: (_, splits) => splits.map((value) => (value === null ? '' : number(value))),
    ...more,
  });
  const [xs] = data;
  const own = log && xs.length <= MAX_TICKS ? { splits: () => xs, filter: (_, splits) => splits } : {};
  return {
    width,
    height: HEIGHT,
    scales: {
      x: { time: false, ...(log ? { distr: 3, log: 2, range: (_, min, max) => [min / 1.1, max * 1.1] } : {}) },
      y: { range: (_, min, max) => [Math.min(0, min ?? 0), max > 0 ? max * 1.08 : 1] },
    },
    axes: [axis(x, own), axis(y, { size: 70 })],
    series: [
      { label: x, value: (_, value) => number(value) },
      ...names.map((name, index) => ({
        label: name,
        stroke: colour(`line-${index % COLOURS}`),
        dash: index < COLOURS ? undefined : [6, 4],
        width: 2,
        spanGaps: true,
        points: { show: xs.length <= 60, fill: colour('back') },
        value: (_, value) => number(value),
      })),
    ],
  };
}

function widthOf(place) {
  return Math.max(200, place.clientWidth);
}

function draw() {
  for (const { chart } of drawn) chart.destroy();
  drawn = plots.flatMap((plot) => {
    const place = document.getElementById(plot.id);
    if (plot.data[0].length === 0) {
      place.textContent = 'no points';
      return [];
    }
    return [{ place, chart: new uPlot(options(plot, widthOf(place)), plot.data, place) }];
  });
}

draw();
darkness.addEventListener('change', draw);
addEventListener('resize', () => {
  for (const { place, chart } of drawn) chart.setSize({ width: widthOf(place), height: HEIGHT });
});
