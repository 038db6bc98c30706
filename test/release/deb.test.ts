import t from 'tap';
import { changelog, debianVersion } from '../../release/deb.js';

t.test('a pre-release sorts before its release', async (t) => {
  t.equal(debianVersion('1.2.3'), '1.2.3');
  t.equal(debianVersion('1.2.3-rc.1'), '1.2.3~rc.1');
});

t.test('the changelog has the version and the time in the form of Debian', async (t) => {
  const text = changelog('1.2.3', 1_796_040_000);
  t.match(text, /^fairlead \(1\.2\.3\) stable; urgency=medium\n\n {2}\* /);
  t.match(text, / -- Fairlead <packages@fairlead\.invalid> {2}\w{3}, \d{2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n$/);
});
