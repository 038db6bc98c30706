import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

const WRAPPER = fileURLToPath(new URL('../../../systemd/fairlead', import.meta.url));
/** Stands for the command: prints its Node, its own path, its arguments and what it finds in the environment. */
const SHOWS = `const { A, B, C, D } = process.env;
console.log(JSON.stringify({ node: process.execPath, file: process.argv[1], args: process.argv.slice(2), A, B, C, D }));`;

interface Release {
  folder: string;
  /** The command on the PATH: a link to a link, as an installation has it. */
  command: string;
}

async function release(t: Test): Promise<Release> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-wrapper-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const files = join(folder, 'releases', '1.0.0');
  for (const name of ['systemd', 'dist/src']) await mkdir(join(files, name), { recursive: true });
  await mkdir(join(folder, 'bin'));
  await copyFile(WRAPPER, join(files, 'systemd', 'fairlead'));
  await writeFile(join(files, 'dist/src/cli.js'), SHOWS);
  await symlink('releases/1.0.0', join(folder, 'current'));
  await symlink('../current/systemd/fairlead', join(folder, 'bin', 'fairlead'));
  return { folder, command: join(folder, 'bin', 'fairlead') };
}

function run({ folder, command }: Release, args: string[], env: Record<string, string> = {}) {
  const PATH = `${dirname(process.execPath)}:/usr/bin:/bin`;
  const file = join(folder, 'env');
  return spawnSync(command, args, { encoding: 'utf8', env: { PATH, FAIRLEAD_ENV_FILE: file, ...env } });
}

/** A program that says it is a Node of this version. */
async function fakeNode(folder: string, name: string, version: string): Promise<string> {
  const file = join(folder, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\n[ "$1" = --version ] && echo ${version} && exit\necho "${name} runs $*"\n`);
  await chmod(file, 0o755);
  return file;
}

t.test(
  'the command runs the release that the links lead to, by its own path, and passes its arguments on',
  async (t) => {
    const made = await release(t);
    const { status, stdout } = run(made, ['chat', 'a b', '', '$x']);
    t.equal(status, 0);
    t.match(JSON.parse(stdout), {
      file: join(made.folder, 'releases/1.0.0/dist/src/cli.js'),
      args: ['chat', 'a b', '', '$x'],
    });
  },
);

t.test('root’s own file beside it is read, too, and gives way to both', async (t) => {
  const made = await release(t);
  await writeFile(join(made.folder, 'env'), 'A=service\n');
  await writeFile(join(made.folder, 'admin.env'), '# of root\nA=root\nB=root\nC=root\n');
  t.match(JSON.parse(run(made, [], { C: 'caller' }).stdout), { A: 'service', B: 'root', C: 'caller' });
});

t.test('the environment file is read as systemd reads it, runs nothing, and gives way to the caller', async (t) => {
  const made = await release(t);
  const lines = [
    '# A=comment',
    'A=$(touch /never) `x` "y',
    'B="two words"',
    "C='c=d'",
    'no line',
    '1=x',
    'A-B=x',
    'D=file',
  ];
  await writeFile(join(made.folder, 'env'), lines.join('\n')); // the last line without its end
  const { stdout, stderr } = run(made, [], { D: 'caller' });
  t.equal(stderr, '');
  t.match(JSON.parse(stdout), { A: '$(touch /never) `x` "y', B: 'two words', C: 'c=d', D: 'caller' });
});

t.test('a Node in the release comes first, one that is too old is passed by', async (t) => {
  const made = await release(t);
  const old = await fakeNode(made.folder, 'old/node', 'v18.19.0');
  const PATH = `${dirname(old)}:/bin:/usr/bin`;
  await fakeNode(made.folder, 'releases/1.0.0/node/bin/node', 'v20.19.0');
  const { stdout } = run(made, ['x'], { PATH });
  t.match(stdout, /^releases\/1\.0\.0\/node\/bin\/node runs .*cli\.js x\n$/);
});

t.test('FAIRLEAD_NODE of the environment file counts; one that is no Node is a wrong configuration', async (t) => {
  const made = await release(t);
  const node = await fakeNode(made.folder, 'mine/node', 'v22.1.0');
  await writeFile(join(made.folder, 'env'), `FAIRLEAD_NODE=${node}\n`);
  t.match(run(made, []).stdout, /^mine\/node runs/);
  await writeFile(join(made.folder, 'env'), 'FAIRLEAD_NODE=/nowhere/node\n');
  const { status, stderr } = run(made, []);
  t.equal(status, 78);
  t.match(stderr, /FAIRLEAD_NODE names \/nowhere\/node/);
});

t.test('the process is the Node itself, so that systemd’s lines come from the main process', async (t) => {
  const made = await release(t);
  await writeFile(join(made.folder, 'releases/1.0.0/dist/src/cli.js'), 'console.log(process.pid)');
  const { pid, stdout } = run(made, []);
  t.equal(stdout, `${pid}\n`);
});
