import { createHash } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { readAssets } from '../../../bench/report-page/assets.js';
import { page } from '../../../bench/report-page/page.js';
import { someRatio, someResult } from '../some-result.js';

const EVIL = `</script><script>alert(1)</script><img src=x onerror="alert('1')">`;
const assets = await readAssets();
const between = (text: string, start: string, end: string): string => text.split(start)[1]?.split(end)[0] ?? '';

t.test('the page has what the results have', async (t) => {
  const soak = someResult({
    bench: 'soak',
    form: 'full',
    commit: 'def5678',
    dirty: true,
    ratios: [someRatio({ value: 0.5 })],
  });
  const text = page([someResult(), soak], assets);
  for (const part of [
    'How many requests a second?',
    'requests: ours of bare',
    '0.970 ×',
    '≥ 0.900 ×',
    '12 ms',
    '≤ 10 ms',
    'A Processor',
    'Node v20.20.2',
    'commit abc1234',
    'commit def5678 with changes',
    'full form',
    '2026-11-28 12:00 UTC',
    'connections',
    '52,300',
    'By connections',
    'the client was busy',
    'Aims met: 1, missed: 2. Doubts, told with their benches: 2.',
    '<a href="#bench-soak">',
  ])
    t.ok(text.includes(part), part);
});

t.test('the page opens with a sentence and a chart for each figure that a visitor asks for first', async (t) => {
  const memory = someResult({
    bench: 'memory',
    ratios: [
      someRatio({ id: 'attached-rss', value: 0.997, unit: 'KiB' }),
      someRatio({ id: 'waiting-heap', value: 4.11, unit: 'KiB' }),
    ],
  });
  const lease = someRatio({ id: 'lease-p50', value: 0.8, unit: 'ms' });
  const text = page([memory, someResult({ bench: 'pool', ratios: [lease] })], assets);
  const opening = between(text, '<h1>', '<h2>');
  t.match(opening, 'costs 0.997 KiB of server memory; one whose agent waits for an approval costs 4.11 KiB.');
  t.match(opening, 'id="highlight-0"');
  t.notMatch(opening, 'warm pool', 'a figure is missing, and so is the sentence');
});

t.test('a text from a file is text on the page, wherever the file has it', async (t) => {
  const evil = someResult({
    bench: EVIL,
    question: EVIL,
    commit: EVIL,
    startedAt: EVIL,
    machine: { cpus: 1, model: EVIL, memoryGib: 1, kernel: EVIL, node: EVIL },
    settings: { [EVIL]: EVIL },
    ratios: [someRatio({ name: EVIL, unit: EVIL }), someRatio({ value: EVIL as unknown as number })],
    tables: [{ title: EVIL, head: [EVIL, EVIL], rows: [[EVIL, EVIL]] }],
    plots: [{ title: EVIL, x: EVIL, y: EVIL, lines: [{ name: EVIL, points: [[1, 2]] }] }],
    doubts: [EVIL],
  });
  const text = page([evil], assets);
  t.notMatch(text, '<img');
  t.notMatch(text, '<script>alert');
  t.equal(text.match(/<script/g)?.length, 2, 'the data and the program');
  const [plot] = JSON.parse(between(text, '<script type="application/json" id="plots">', '</script>')) as {
    names: string[];
  }[];
  t.strictSame(plot?.names, [EVIL], 'and the plot has it unchanged');
});

t.test('nothing is loaded, and only the very style and script of the page are allowed', async (t) => {
  const text = page([someResult()], assets);
  t.notMatch(text, /<link|<script[^>]+src=|@import|url\(/);
  const policy = between(text, 'content-security-policy" content="', '"').replaceAll('&#39;', "'");
  t.match(policy, "default-src 'none'");
  for (const name of ['style', 'script']) {
    const inside = between(text, `<${name}>`, `</${name}>`);
    const hash = createHash('sha256').update(inside).digest('base64');
    t.ok(policy.includes(`${name}-src 'sha256-${hash}'`), name);
  }
});

t.test('a value that is no number neither meets nor misses an aim', async (t) => {
  const lower = { better: 'lower', aim: 5, value: Number.NaN } as const;
  const read = JSON.parse(JSON.stringify(someResult({ ratios: [someRatio(lower)] }))) as ReturnType<typeof someResult>;
  t.match(page([read], assets), 'Aims met: 0, missed: 0.');
  t.match(page([read], assets), 'no figure');
});

t.test('the script draws each plot that has points, and draws anew when light becomes dark', async (t) => {
  const empty = { title: 'none', x: 'x', y: 'y', lines: [] };
  const text = page([someResult({ plots: [...someResult().plots, empty] })], assets);
  const drawn: { options: { series: { label: string }[] }; data: number[][] }[] = [];
  const places = new Map<string, { textContent: string; clientWidth: number }>();
  const data = between(text, '<script type="application/json" id="plots">', '</script>');
  let turnDark: () => void = () => t.fail('nobody listens for the colour scheme');
  const script = assets.scripts.slice(assets.scripts.indexOf("/** Draws the page's plots."));
  runInNewContext(script, {
    document: {
      documentElement: {},
      getElementById: (id: string) => {
        const place = places.get(id) ?? { textContent: id === 'plots' ? data : '', clientWidth: 600 };
        places.set(id, place);
        return place;
      },
    },
    matchMedia: () => ({ addEventListener: (_: string, listener: () => void) => (turnDark = listener) }),
    getComputedStyle: () => ({ getPropertyValue: () => ' #123456' }),
    addEventListener: () => {},
    uPlot: function (options: (typeof drawn)[0]['options'], values: number[][]) {
      drawn.push({ options, data: values });
      return { destroy: () => {}, setSize: () => {} };
    },
  });
  t.match(drawn, [{ options: { series: [{ label: 'connections' }, { label: 'bare' }] }, data: [[1], [10]] }]);
  t.equal(places.get('plot-0-1')?.textContent, 'no points');
  turnDark();
  t.equal(drawn.length, 2);
});
