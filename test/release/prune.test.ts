import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { isKept, prune } from '../../release/prune.js';

const target = { platform: 'linux', arch: 'x64', modules: '115' };

t.test('what Node loads stays, and so does each licence', async (t) => {
  const kept = [
    'index.js',
    'dist/index.mjs',
    'lib/a.cjs',
    'package.json',
    'lib/test/runner.js',
    'proto/auth.proto',
    'LICENSE',
    'license.md',
    'docs/LICENSE.txt',
    'NOTICE',
    'uws_linux_x64_115.node',
    'node.abi115.glibc.node',
    'node.napi.glibc.node',
    'linux_x64/koffi.node',
    'build/Release/lz4.node',
    'lib/libvips-cpp.so.8.18.3',
  ];
  for (const path of kept) t.equal(isKept(path, target), true, path);
});

t.test('sources, types, maps, tests and binaries for other machines go', async (t) => {
  const gone = [
    'index.js.map',
    '.eslintrc.js',
    '.github/a.js',
    'index.d.ts',
    'src/a.ts',
    'README.md',
    'binding.gyp',
    'deps/lz4.c',
    'test/a.js',
    'docs/a.js',
    'examples/a.js',
    'uws_linux_x64_127.node',
    'uws_linux_arm64_115.node',
    'uws_darwin_x64_115.node',
    'node.abi127.glibc.node',
    'node.napi.musl.node',
    'musl_x64/koffi.node',
    'build/Release/obj.target/lz4.node',
  ];
  for (const path of gone) t.equal(isKept(path, target), false, path);
});

t.test('packages inside packages and scopes are pruned, too, and no empty folder is left', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fl-prune-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const files = [
    '.bin/tool',
    '.package-lock.json',
    '@scope/a/index.js',
    '@scope/a/index.js.map',
    '@scope/a/src/deep/a.ts',
    '@scope/a/node_modules/b/index.js',
    '@scope/a/node_modules/b/index.d.ts',
    '@types/c/index.d.ts',
    '@types/c/LICENSE',
  ];
  for (const file of files) {
    await mkdir(join(folder, dirname(file)), { recursive: true });
    await writeFile(join(folder, file), '');
  }
  await prune(folder, target);
  const left = await readdir(folder, { recursive: true });
  t.same(left.sort(), [
    '@scope',
    '@scope/a',
    '@scope/a/index.js',
    '@scope/a/node_modules',
    '@scope/a/node_modules/b',
    '@scope/a/node_modules/b/index.js',
    '@types',
    '@types/c',
    '@types/c/LICENSE',
  ]);
});
