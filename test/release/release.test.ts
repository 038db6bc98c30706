/** What `npm run release -- --deb` makes, unpacked as an operator does. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { packagesIn } from '../../release/prune.js';
import { VERSION } from '../../src/shared/version.js';
import { startEngine } from '../helpers/engine.js';
import { startModelServer, text } from '../helpers/model-server.js';
import { ROOT } from '../helpers/packed.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(1_800_000); // npm compiles an addon, on a machine that may be busy

const MAX_BYTES = 175e6;
const MAIN = fileURLToPath(new URL('../../release/main.js', import.meta.url));
const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'fl-release-test-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const out = join(folder, 'out');
const empty = join(folder, 'empty');
await mkdir(empty);
await run(process.execPath, [MAIN, '--out', out, '--deb']);
const tarball = `fairlead-${VERSION}-linux-${process.arch}.tar.gz`;
await run('tar', ['-xzf', join(out, tarball), '-C', folder]);
const deb = `fairlead_${VERSION}_amd64.deb`;
const release = join(folder, `fairlead-${VERSION}`);
const NODE = join(release, 'node/bin/node');
const CLI = join(release, 'dist/src/cli.js');

t.test('the sums are those of the tarball, and all of it is in one folder', async (t) => {
  t.equal((await run('sha256sum', ['-c', 'SHA256SUMS'], { cwd: out })).stdout, `${tarball}: OK\n${deb}: OK\n`);
  t.same((await readdir(out)).sort(), ['SHA256SUMS', tarball, deb].sort());
  t.same((await readdir(release)).sort(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'SHA256SUMS',
    'dist',
    'docs',
    'fairlead.schema.json',
    'node',
    'node_modules',
    'package.json',
    'systemd',
    'workers',
  ]);
});

t.test('it has the sums of its files, by which an installation sees that it is whole', async (t) => {
  t.equal((await run('sha256sum', ['--check', '--quiet', '--strict', 'SHA256SUMS'], { cwd: release })).stdout, '');
  const sums = await readFile(join(release, 'SHA256SUMS'), 'utf8');
  t.match(sums, /^[0-9a-f]{64} {2}\.\/dist\/src\/cli\.js$/m);
});

t.test('it takes less than 175 MB with its Node, and has no package of development', async (t) => {
  const entries = await readdir(release, { recursive: true, withFileTypes: true });
  let bytes = 0;
  for (const entry of entries) if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  t.comment(`${bytes} bytes`);
  t.ok(bytes < MAX_BYTES, `${bytes} bytes`);
  for (const name of ['typescript', 'tap', 'esbuild', 'playwright-core', 'prettier']) {
    t.equal(existsSync(join(release, 'node_modules', name)), false, name);
  }
});

t.test('each package has the files that its importers name, and its licence', async (t) => {
  const packages = await installedPackages('node_modules');
  t.ok(packages.length > 100);
  for (const path of packages) {
    const [here, there] = [join(ROOT, path), join(release, path)];
    if (!existsSync(here)) continue; // npm hoists packages of development in the checkout
    const manifest = JSON.parse(await readFile(join(there, 'package.json'), 'utf8')) as Manifest;
    const licences = (await readdir(here)).filter((name) => /^(?:licen[cs]e|notice|copying)/i.test(name));
    for (const name of [...entriesOf(manifest), ...licences]) {
      if (existsSync(join(here, name)) && !existsSync(join(there, name))) t.fail(`${path} lacks ${name}`);
    }
  }
});

t.test('it runs with its own Node, without a network and without a PATH', async (t) => {
  const alone = { cwd: empty, env: { HOME: empty, PATH: '' } };
  const fairlead = async (...args: string[]): Promise<string> =>
    (await run('/usr/bin/unshare', ['--net', NODE, CLI, ...args], alone)).stdout;
  t.equal(await fairlead('--version'), `${VERSION}\n`);
  const said = await fairlead('doctor', '--json').catch((error: { stdout: string }) => error.stdout);
  const { checks } = JSON.parse(said) as { checks: { name: string; detail: string }[] };
  for (const name of ['uWebSockets', 'lmdb', 'lz4']) {
    t.equal(checks.find((check) => check.name === name)?.detail, 'loads', name);
  }
  const koffi = `import(${JSON.stringify(join(release, 'node_modules/koffi/index.js'))}).then((koffi) => console.log(koffi.default.version))`;
  t.match((await run(NODE, ['--eval', koffi], alone)).stdout, /^\d+\.\d+/);
  const sharp = `import(${JSON.stringify(join(release, 'node_modules/sharp/dist/index.mjs'))}).then((it) => it.default({ create: { width: 9, height: 9, channels: 3, background: 'red' } }).png().toBuffer()).then((png) => console.log(png.length))`;
  t.match((await run(NODE, ['--eval', sharp], alone)).stdout, /^\d+\n$/);
  const bundle = `import(${JSON.stringify(join(release, 'dist/src/cli/image/image-bundle.js'))}).then(async (it) => console.log((await it.bundleWorkspaceServer()).length))`;
  t.equal((await run(NODE, ['--eval', bundle], alone)).stdout, '4\n');
});

t.test('its server answers with the model that it is given', async (t) => {
  const model = await startModelServer();
  t.teardown(() => model.close());
  model.script(() => text('hello from the release'));
  const engine = await startEngine({
    program: [NODE, CLI],
    config: { sandbox: { driver: 'process' } },
    env: { DOCKER_HOST: '', REDIS_URL: '', ANTHROPIC_API_KEY: 'sk-test-key', ANTHROPIC_BASE_URL: model.url },
  });
  t.teardown(() => engine.stop());
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  client.say('Hello');
  t.match(await client.turnEnd(), { stopReason: 'end_turn' });
  t.equal(client.text(1), 'hello from the release');
});

t.test('lintian finds no fault in the Debian package', async (t) => {
  const { stdout } = await run('lintian', ['--allow-root', '--fail-on', 'none', join(out, deb)]);
  t.equal(stdout, '');
});

t.test('the Debian package has the release, the command, and units that name the places of dpkg', async (t) => {
  const root = join(folder, 'deb');
  await run('dpkg-deb', ['-x', join(out, deb), root]);
  const { stdout } = await run(join(root, 'usr/bin/fairlead'), ['--version'], { env: { PATH: '/usr/bin:/bin' } });
  t.equal(stdout, `${VERSION}\n`);
  const unit = await readFile(join(root, 'lib/systemd/system/fairlead.service'), 'utf8');
  t.match(unit, /^ExecStart=\/usr\/bin\/fairlead serve$/m);
  t.notMatch(unit, /\/opt\/|\/usr\/local\//);
  const { stdout: fields } = await run('dpkg-deb', ['-f', join(out, deb), 'Version', 'Depends']);
  t.ok(fields.split('\n').includes(`Version: ${VERSION}`));
  t.match(fields, /docker\.io \| docker-ce.*libc6/);
  const { stdout: page } = await run('zcat', [join(root, 'usr/share/man/man1/fairlead.1.gz')]);
  t.match(page, /^\.TH FAIRLEAD 1 /m);
  const share = join(root, 'usr/share');
  t.match(
    await readFile(join(share, 'bash-completion/completions/fairlead'), 'utf8'),
    'complete -F _fairlead fairlead',
  );
  t.match(await readFile(join(share, 'zsh/vendor-completions/_fairlead'), 'utf8'), /^#compdef fairlead/);
  t.match(await readFile(join(share, 'fish/vendor_completions.d/fairlead.fish'), 'utf8'), 'complete -c fairlead');
});

t.test('the Debian package is installed, installed again, removed and purged, and leaves nothing', async (t) => {
  const script = join(ROOT, 'test/release/deb-life.sh');
  const life = await run('unshare', ['--mount', 'sh', script, join(out, deb)]).catch((error: unknown) => error);
  const { stdout } = life as { stdout: string };
  t.match(stdout, /== nothing is left\n$/);
  t.match(stdout, /^750 root:fairlead \/etc\/fairlead$/m);
  t.match(stdout, /^600 root:root \/etc\/fairlead\/fairlead\.env$/m);
  t.match(stdout, /^640 root:fairlead \/etc\/fairlead\/fairlead\.json$/m);
  t.match(stdout, /of the Debian package: apt installs, upgrades and removes the service/);
  t.notMatch(stdout, /flt_|[0-9a-f]{64}/, 'apt keeps what is printed');
});

interface Manifest {
  main?: string;
  exports?: unknown;
}

/** Paths of packages below the release, those inside packages too. */
async function installedPackages(path: string): Promise<string[]> {
  const names = await packagesIn(join(release, path));
  const inner = names.map(async (name) => {
    const own = join(path, name);
    const below = join(own, 'node_modules');
    const found = existsSync(join(release, own, 'package.json')) ? [own] : [];
    return existsSync(join(release, below)) ? [...found, ...(await installedPackages(below))] : found;
  });
  return (await Promise.all(inner)).flat();
}

/** What `require` and `import` of the package may lead to, apart from types and sources. */
function entriesOf({ main = 'index.js', exports }: Manifest): string[] {
  const targets = (value: unknown): string[] => {
    if (typeof value === 'string') return [value];
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap(([condition, inner]) => (condition === 'types' ? [] : targets(inner)));
  };
  return [main, `${main}.js`, ...targets(exports)].filter((name) => !/\*|\.[cm]?ts$/.test(name));
}
