import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { until } from '../../helpers/until.js';
import {
  blocksOf,
  commandMeta,
  isAlive,
  startWorkspace,
  streamOf,
  textOf,
  type WorkspaceClient,
} from './workspace-client.js';

/** Prints the numbers of a shell and of a child of it, then waits: what a timeout or a cancel has to end. */
const FAMILY = 'sleep 300 & echo "$$ $!"; wait';

function pids(text: string): number[] {
  return (/^(\d+) (\d+)$/m.exec(text) ?? []).slice(1).map(Number);
}

async function gone(pid: number): Promise<boolean> {
  // SIGKILL has been sent by then; the kernel takes a moment to carry it out.
  for (let i = 0; i < 200 && (await isAlive(pid)); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  return !(await isAlive(pid));
}

t.test('a command answers with its output, its errors and its exit code', async (t) => {
  const ws = await startWorkspace(t);
  const result = await ws.call('run_command', { command: 'echo out; echo err >&2; exit 3' });
  const [out, err, end] = blocksOf(result);
  t.equal(out, 'out\n');
  t.equal(err, '[stderr]\nerr\n');
  t.match(end, /^\[exit code 3 after \d+ ms\]$/);
  t.equal(result.isError, false, 'an exit code is an answer');
  t.match(commandMeta(result), { exitCode: 3, exitSignal: null, endedBy: 'itself', stdoutBytes: 4, stderrBytes: 4 });
});

t.test('a result is what a terminal would show, and what is streamed is what was printed', async (t) => {
  const ws = await startWorkspace(t);
  const pieces: string[] = [];
  const command =
    'echo begin; for i in $(seq 1 20000); do printf "\\rstep %d of 20000" $i; done; ' +
    'printf "\\n\\033[1;31mred\\033[0m\\none\\ntwo\\n\\033[2A\\033[KONE\\n\\n" | tee /dev/stderr';
  const result = await ws.call(
    'run_command',
    { command },
    { onprogress: (piece) => void (streamOf(piece) === 'stdout' && pieces.push(piece.message ?? '')) },
  );
  const [out, err] = blocksOf(result);
  t.equal(out, 'begin\nstep 20000 of 20000\nred\nONE\ntwo\n');
  t.equal(err, '[stderr]\n\nred\nONE\ntwo\n');
  t.ok(commandMeta(result).stdoutBytes > 300_000, 'bytes are counted as they were printed');
  t.equal(commandMeta(result).omittedBytes, 0);
  t.match(pieces.join(''), '\rstep 19999 of 20000\rstep 20000 of 20000\n\u001B[1;31mred');
});

t.test('what is cut of a long output says how to get it', async (t) => {
  const ws = await startWorkspace(t);
  const [out = ''] = blocksOf(await ws.call('run_command', { command: 'seq 1 100000' }));
  t.match(out, /\n\[… \d+ bytes are not shown: to see them, run it with its output in a file, .*…\]\n/);
  t.match(out, /^1\n2\n/);
  t.match(out, /\n100000\n$/);
});

t.test('a command runs in the workspace, or in the folder it names, with no standard input', async (t) => {
  const ws = await startWorkspace(t);
  await mkdir(join(ws.root, 'sub'));
  t.equal(blocksOf(await ws.call('run_command', { command: 'pwd; echo $HOME' }))[0], `${ws.root}\n${ws.root}\n`);
  t.equal(blocksOf(await ws.call('run_command', { command: 'pwd', cwd: '/workspace/sub' }))[0], `${ws.root}/sub\n`);
  t.equal(commandMeta(await ws.call('run_command', { command: 'cat' })).exitCode, 0);
  t.equal(await ws.fault('run_command', { command: 'pwd', cwd: 'missing' }), 'NOT_FOUND');
});

t.test('a command that a signal ended is an error that names it', async (t) => {
  const ws = await startWorkspace(t);
  const result = await ws.call('run_command', { command: 'kill -TERM $$' });
  t.equal(result.isError, true);
  t.match(commandMeta(result), { exitCode: null, exitSignal: 'SIGTERM', endedBy: 'itself' });
});

t.test('at its timeout a command is killed with its whole group, and what it printed is kept', async (t) => {
  const ws = await startWorkspace(t);
  const result = await ws.call('run_command', { command: FAMILY, timeout_ms: 300 });
  t.equal(result.isError, true);
  t.match(commandMeta(result), { exitCode: null, exitSignal: 'SIGKILL', endedBy: 'timeout' });
  t.ok(commandMeta(result).ms < 5000);
  const family = pids(textOf(result));
  t.equal(family.length, 2);
  for (const pid of family) t.ok(await gone(pid));
});

t.test('a cancelled call kills its whole group, and the server goes on', async (t) => {
  const ws = await startWorkspace(t);
  const cancel = new AbortController();
  let family: number[] = [];
  const call = ws.call(
    'run_command',
    { command: FAMILY },
    {
      signal: cancel.signal,
      onprogress: ({ message = '' }) => {
        family = pids(message);
        cancel.abort();
      },
    },
  );
  await t.rejects(call);
  t.equal(family.length, 2);
  for (const pid of family) t.ok(await gone(pid));
  t.match(await ws.text('run_command', { command: 'echo alive' }), 'alive');
});

t.test(
  'when the connection ends the server goes, and so does all that commands have left, in the background too',
  async (t) => {
    const ws = await startWorkspace(t);
    const background = await ws.text('run_command', {
      command: 'sleep 300 >/dev/null 2>&1 & echo "$$ $!"; setsid sleep 301 >/dev/null 2>&1 &',
    });
    const [, left = 0] = pids(background);
    t.ok(await isAlive(left), 'it lives on after its command');
    const running = await firstProgress(ws);
    await ws.client.close();
    for (const pid of [left, ...running, ws.pid]) t.ok(await gone(pid));
    const setsid = await ownSleepers();
    t.same(setsid, []);
  },
);

async function firstProgress(ws: WorkspaceClient): Promise<number[]> {
  return new Promise((resolve) => {
    const onprogress = ({ message = '' }): void => resolve(pids(message));
    // It ends with the connection.
    ws.call('run_command', { command: FAMILY }, { onprogress }).catch(() => undefined);
  });
}

async function ownSleepers(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line === 'sleep\x00301\x00') found.push(pid);
  }
  return found;
}

t.test('the call returns with its shell, though a background process holds its output open', async (t) => {
  const ws = await startWorkspace(t);
  const result = await ws.call('run_command', { command: 'sleep 300 & echo "$$ $!"' });
  t.equal(commandMeta(result).exitCode, 0);
  t.ok(commandMeta(result).ms < 5000);
  const [, sleeper = 0] = pids(textOf(result));
  t.ok(await isAlive(sleeper));
});

t.test('a hundred megabytes of output stay bounded, in the result, on the wire and in memory', async (t) => {
  const ws = await startWorkspace(t);
  let streamed = 0;
  let pieces = 0;
  const result = await ws.call(
    'run_command',
    { command: 'echo BEGIN; yes 0123456789 | head -c 104857600; echo END' },
    {
      onprogress: ({ message = '' }) => {
        streamed += message.length;
        pieces++;
      },
    },
  );
  const [text = ''] = blocksOf(result);
  t.match(commandMeta(result), { exitCode: 0, stdoutBytes: 104_857_600 + 10 });
  t.ok(text.startsWith('BEGIN\n0123456789'));
  t.ok(text.endsWith('END\n'));
  t.ok(text.length < 70_000, `${text.length} characters of result`);
  t.ok(streamed <= 1_048_576 + 200 && streamed > 1_000_000, `${streamed} characters streamed`);
  t.ok(pieces <= 65, `${pieces} notifications`);
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${ws.pid}/status`, 'utf8'))?.[1]);
  // 104 MB, and half as much again where its coverage is taken
  t.ok(peak < 200_000, `peak of the server ${peak} kB`);
});

t.test('a command may open its output by name, as scripts do', async (t) => {
  const ws = await startWorkspace(t);
  for (let i = 0; i < 2; i++) {
    const result = await ws.call('run_command', { command: 'echo err > /dev/stderr; echo both | tee /dev/stderr' });
    t.same(blocksOf(result).slice(0, 2), ['both\n', '[stderr]\nerr\nboth\n']);
  }
});

t.test('commands leave nothing of their pipes in the temporary folder', async (t) => {
  const tmp = t.testdir();
  const ws = await startWorkspace(t, { TMPDIR: tmp });
  t.equal(blocksOf(await ws.call('run_command', { command: 'echo out' }))[0], 'out\n');
  await until('the next pair is made', async () => (await readdir(tmp)).length === 0, { timeoutMs: 30_000 });
  t.equal(blocksOf(await ws.call('run_command', { command: 'rm -rf "$TMPDIR"; echo out' }))[0], 'out\n');
  for (let i = 0; i < 3; i++) t.equal(blocksOf(await ws.call('run_command', { command: 'echo again' }))[0], 'again\n');
});

t.test('without mkfifo commands run all the same', async (t) => {
  const bin = t.testdir();
  await symlink('/bin/sh', join(bin, 'sh'));
  const ws = await startWorkspace(t, { PATH: bin });
  t.equal(blocksOf(await ws.call('run_command', { command: 'echo out; echo err >&2' }))[0], 'out\n');
  t.equal(blocksOf(await ws.call('run_command', { command: 'echo again' }))[0], 'again\n');
});

t.test('binary output is text with replacement characters, not an error', async (t) => {
  const ws = await startWorkspace(t);
  await writeFile(join(ws.root, 'binary'), Buffer.from([0, 255, 254, 65, 10]));
  t.equal(blocksOf(await ws.call('run_command', { command: 'cat binary' }))[0], '\uFFFD\uFFFD\uFFFDA\n');
});

t.test('commands that cannot be started are clear errors', async (t) => {
  const ws = await startWorkspace(t);
  t.equal(await ws.fault('run_command', { command: `true ${'x'.repeat(3_000_000)}` }), 'SPAWN');
  t.equal(await ws.fault('run_command', { command: 'true \0' }), 'SPAWN');
});

t.test('more than 32 commands at once are refused, not queued', async (t) => {
  const ws = await startWorkspace(t);
  const results = await Promise.all(
    Array.from({ length: 40 }, () => ws.call('run_command', { command: 'sleep 1' }, { timeout: 60_000 })),
  );
  const refused = results.filter((result) => result._meta?.['fairlead/error'] === 'BUSY');
  t.ok(refused.length >= 1 && refused.length <= 8, `${refused.length} refused`);
});
