import t from 'tap';
import { inline, jsonData, markup } from '../../../bench/report-page/html.js';

t.test('texts are escaped wherever they stand, markup in markup is not', async (t) => {
  const bold = markup`<b title="${'"><'}">${"a & 'b'"}</b>`;
  t.equal(bold.text, '<b title="&quot;&gt;&lt;">a &amp; &#39;b&#39;</b>');
  t.equal(markup`<p>${bold}${[1, '<', [bold, true]]}</p>`.text, `<p>${bold.text}1&lt;${bold.text}true</p>`);
});

t.test('data in a script element cannot end it, and is what it was', async (t) => {
  const value = { text: '</script><!-- <script>', line: '\u2028' };
  const { text } = jsonData(value);
  t.notMatch(text, '<');
  t.strictSame(JSON.parse(text), value);
});

t.test('a file that would end the element which it is put into is refused', async (t) => {
  for (const text of ['x</script>', 'x</STYLE', '<!--']) t.throws(() => inline(text), text);
  t.equal(inline('a < b && c').text, 'a < b && c');
});
