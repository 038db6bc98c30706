import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { execute } from '../../../../src/cli/service/execute.js';
import { fullDiskWords } from '../../../../src/cli/service/room.js';
import { layoutAt } from '../../../../src/cli/service/layout.js';
import { setLink, writeFile as writeStep, type Step } from '../../../../src/cli/service/step.js';
import { mountSmallDisk } from '../../../helpers/small-disk.js';

async function folder(t: Test): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'fl-steps-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** Writes a line to the file `log`, and another one when it is taken back. */
function noted(log: string, name: string, differs: Partial<Step> = {}): Step {
  const append = (line: string): string[] => ['sh', '-c', `echo ${line} >> ${log}`];
  return { title: name, argv: append(name), undo: [{ argv: append(`no-${name}`) }], ...differs };
}

t.test('when a step fails, it and those before it are taken back from the last to the first', async (t) => {
  const log = join(await folder(t), 'log');
  const said: string[] = [];
  const fails = noted(log, 'third', { argv: ['sh', '-c', 'echo the disk is full >&2; exit 1'] });
  const steps = [noted(log, 'first'), noted(log, 'second'), fails, noted(log, 'fourth')];
  await t.rejects(execute(steps, { say: (line) => said.push(line) }), {
    code: 'ERR_START',
    message: 'could not third: the disk is full\nEverything is as it was before.',
  });
  t.equal(await readFile(log, 'utf8'), 'first\nsecond\nno-third\nno-second\nno-first\n');
  t.same(said, ['first', 'second', 'third', 'taking back what was done']);
});

t.test('a step that may fail is told with its reason, and the next ones run', async (t) => {
  const log = join(await folder(t), 'log');
  const said: string[] = [];
  const steps = [noted(log, 'one', { argv: ['false'], optional: 'do it by hand' }), noted(log, 'two')];
  await execute(steps, { say: (line) => said.push(line) });
  t.same(said, ['one', 'warning: could not one: false failed\n  do it by hand', 'two']);
});

t.test('what cannot be taken back is named', async (t) => {
  const steps = [
    { title: 'one', argv: ['true'], undo: [{ argv: ['sh', '-c', 'echo it is busy; exit 1'] }] },
    { title: 'two', argv: ['/nowhere/program'] },
  ];
  await t.rejects(execute(steps, { say: () => undefined }), {
    message: /ENOENT\nNot taken back:\n {2}sh -c .*it is busy/,
  });
});

t.test('a step that hangs ends at its deadline with all that it started, and is taken back', async (t) => {
  const log = join(await folder(t), 'log');
  const hangs = noted(log, 'hangs', { argv: ['sh', '-c', 'sleep 600 & wait'], timeoutMs: 300 });
  await t.rejects(execute([hangs], { say: () => undefined }), { message: /not done within 0.3 s/ });
  t.equal(await readFile(log, 'utf8'), 'no-hangs\n');
});

t.test('an interrupt lets the step end, and takes everything back', async (t) => {
  const place = await folder(t);
  const log = join(place, 'log');
  const code = `
    import { execute } from ${JSON.stringify(new URL('../../../../src/cli/service/execute.js', import.meta.url).href)};
    const steps = [{ title: 'waits', argv: ['sh', '-c', 'echo begun; read line < ${place}/pipe; echo done >> ${log}'],
      undo: [{ argv: ['sh', '-c', 'echo undone >> ${log}'] }] }, { title: 'never', argv: ['touch', '${place}/never'] }];
    await execute(steps, { say: (line) => console.log(line) }).catch((error) => console.log(error.message));`;
  await new Promise<void>((resolve) => void spawn('mkfifo', [join(place, 'pipe')]).on('exit', () => resolve()));
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (output === '') child.kill('SIGINT');
    output += chunk.toString();
  });
  // Opening the pipe for writing waits for its reader, so the step runs; the signal has been sent once its title is out.
  await once(child.stdout, 'data');
  await writeFile(join(place, 'pipe'), 'go\n');
  await once(child, 'close');
  t.match(output, /interrupted \(SIGINT\)\nEverything is as it was before/);
  t.equal(await readFile(log, 'utf8'), 'done\nundone\n');
  t.notOk(existsSync(join(place, 'never')));
});

t.test('a link is put in place of another, and the old one comes back', async (t) => {
  const place = await folder(t);
  const link = join(place, 'current');
  await symlink('releases/1', link);
  const steps = setLink(link, 'releases/2', 'releases/1', 'switch');
  await execute(steps, { say: () => undefined });
  t.equal(await readlink(link), 'releases/2');
  const failing = [...setLink(link, 'releases/3', 'releases/2', 'switch'), { title: 'fail', argv: ['false'] }];
  await t.rejects(execute(failing, { say: () => undefined }));
  t.equal(await readlink(link), 'releases/2');
  t.same(setLink(link, 'releases/2', 'releases/2', 'switch'), [], 'nothing to do');
});

t.test('a file is written whole, with its mode, through a program that opens its input by name', async (t) => {
  const place = await folder(t);
  const path = join(place, 'file');
  const owner = { owner: String(process.getuid?.()), group: String(process.getgid?.()) };
  const file = { path, text: 'one\n', mode: '0640', ...owner, old: undefined, title: 'write it' };
  await execute(writeStep(file), { say: () => undefined });
  t.equal(await readFile(path, 'utf8'), 'one\n');
  t.equal((await stat(path)).mode & 0o777, 0o640);
  const failing = [...writeStep({ ...file, text: 'two\n', old: 'one\n' }), { title: 'fail', argv: ['false'] }];
  await t.rejects(execute(failing, { say: () => undefined }));
  t.equal(await readFile(path, 'utf8'), 'one\n');
  t.same(await readdir(place), ['file']);
});

t.test(
  'a file that cannot be taken back, since the disk has filled, is the new one and no half of the old',
  async (t) => {
    const disk = mountSmallDisk(256);
    t.teardown(() => disk.remove());
    const path = join(disk.dir, 'unit');
    const old = 'old\n'.repeat(40_000);
    await writeFile(path, old);
    const steps = writeStep({ path, text: 'new\n', mode: '0644', old, title: 'write the unit' });
    const fills = `head -c 1M /dev/zero > ${join(disk.dir, 'filler')}`;
    await t.rejects(execute([...steps, { title: 'fill', argv: ['sh', '-c', fills] }], { say: () => undefined }), {
      message: /could not fill: .*No space left.*\nNot taken back:\n.*No space left/s,
    });
    t.equal(await readFile(path, 'utf8'), 'new\n');
    t.same((await readdir(disk.dir)).sort(), ['filler', 'unit']);
  },
);

t.test('a full disk is told with what is needed and what is free; another failure is not', async (t) => {
  const layout = layoutAt(await folder(t));
  const words = fullDiskWords('tar: file: Cannot write: No space left on device', layout, 81_200_000);
  t.match(words, `A disk was full: make room and run it again. The release needs 82 MB in ${layout.releases}.`);
  t.match(words, new RegExp(`Free now: \\d+ MB in ${layout.releases}, \\d+ MB in ${layout.folder}, \\d+ MB in`));
  t.equal(fullDiskWords('tar: file: Cannot open: Permission denied', layout, 81_200_000), '');
});
