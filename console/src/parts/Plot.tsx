/** The last minutes: people, turns that run, and the first token. The plot is loaded with the page that shows it. */
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { ratesOf, type Point } from '../live/system.js';

const HEIGHT = 180;

export function Plot({ points }: { points: readonly Point[] }) {
  const ref = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const [text, line, first, second] = ['--soft', '--line', '--accent', '--good'].map((name) => colour(style, name));
    const axis = { stroke: text!, grid: { stroke: line! }, ticks: { stroke: line! } };
    const options: uPlot.Options = {
      width: element.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      axes: [axis, axis],
      series: [{}, { label: 'turns', stroke: first!, width: 2 }, { label: 'people', stroke: second!, width: 2 }],
    };
    const made = new uPlot(options, [[], [], []], element);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => {
    plot.current?.setData([
      points.map(({ at }) => at / 1_000),
      points.map(({ status }) => status.turns.running),
      points.map(({ status }) => status.people.users),
    ]);
  }, [points]);
  const last = points.at(-1)?.status;
  const rates = ratesOf(points);
  const words = `Turns that run: ${last?.turns.running ?? 0}; people: ${last?.people.users ?? 0}; ${(rates?.turnsPerSecond ?? 0).toFixed(1)} turns a second`;
  return (
    <figure className="box plot">
      <figcaption>
        <span className="key-turns">turns that run</span> and <span className="key-people">people</span>, since this
        page was opened
      </figcaption>
      <div ref={ref} role="img" aria-label={words} />
    </figure>
  );
}

/** A canvas knows no `light-dark()`: the element's own colour is asked for. */
function colour(style: CSSStyleDeclaration, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = style.getPropertyValue(name);
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
