import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { findProgram } from '../../helpers/programs.js';
import { Workspace } from '../../../workers/workspace/paths.js';
import { candidateFiles, translate } from '../../../workers/workspace/ripgrep.js';
import { searchFiles } from '../../../workers/workspace/search.js';

const RG = findProgram('rg');
const signal = AbortSignal.timeout(600_000);

t.test('a search with ripgrep finds what one without it finds', async (t) => {
  if (RG === undefined) throw new Error('the test needs rg');
  const root = t.testdir();
  await mkdir(join(root, '.hidden/node_modules'), { recursive: true });
  const files: Record<string, string | Buffer> = {
    'a.ts': 'const hello = 1;\r\nhello();\r\n',
    '.hidden/node_modules/b.txt': 'Hello wörld\n naïve\n',
    '.gitignore': '*\n',
    'broken.txt': Buffer.from([0x68, 0x65, 0xff, 0x6c, 0x6c, 0x6f, 0x0a]),
    'binary.bin': Buffer.from('hello\0'),
    'kelvin.txt': '\u212A and ſ\n',
    'spaces.txt': 'a\u00A0b\n\tc  d\n',
    'last.txt': 'no line end: price $1.00 [x] {2}',
    'new\nline.txt': 'hello\n',
    empty: '',
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(root, name), content);
  await symlink('/etc/passwd', join(root, 'link'));
  const workspace = await Workspace.open(root);
  const patterns = [
    'hello',
    'h.llo',
    'he.llo',
    '^hello$',
    'hello\\(\\);$',
    'w.rld',
    'w[^a]rld',
    'na.ve',
    'k',
    's',
    '\\s',
    'a\\sb',
    '\\$1\\.00',
    '\\[x\\]',
    '\\{2\\}',
    'l{2}',
    'l{2,}o',
    '(?:const|price)',
    '(hel)+',
    '[a-f]+$',
    '\\d+',
    '\\w+ö',
    '^$',
    '.',
    'x|y|price',
    '\\bhello\\b',
    'h(?=ello)',
    'é',
    '(a)\\1',
    'a{,2}',
    'a-b',
    '[\\w.-]+:',
  ];
  for (const pattern of patterns) {
    for (const ignoreCase of [false, true]) {
      const request = { path: '.', pattern, ignoreCase, offset: 1, limit: 1_000 };
      const call = { signal, maxBytes: 1_000_000 };
      const [withIt, without] = [
        await searchFiles(workspace, request, call, RG),
        await searchFiles(workspace, request, call, '/nowhere/rg'),
      ];
      t.equal(withIt.text, without.text, `${pattern} ${ignoreCase}`);
    }
  }
  const found = await candidateFiles(RG, {
    root: workspace.root,
    pattern: 'hello',
    ignoreCase: false,
    timeoutMs: 60_000,
    signal,
  });
  t.ok(found && found.size > 1 && found.size < Object.keys(files).length, 'it has looked');
});

t.test('what the two read differently is left to our own matcher', async (t) => {
  for (const pattern of [
    '\\bx',
    'x(?=y)',
    '(?<!a)b',
    '(?<n>a)',
    'é',
    '\\u0041',
    '\\1',
    '[[:alpha:]]',
    'a{,2}',
    '[^]',
    '\\p{L}',
    '(?i)x',
  ]) {
    t.equal(translate(pattern), undefined, pattern);
  }
  t.equal(translate('a+(?:b|c)*[d-f]{2,3}\\.$'), 'a+(?:b|c)*[d-f]{2,3}\\.$');
  t.equal(translate('-e --pre=sh'), '-e --pre=sh', 'and it stands behind --regexp=');
});
