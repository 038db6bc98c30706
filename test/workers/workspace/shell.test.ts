import { execFileSync } from 'node:child_process';
import { mkdir, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { runCommand, type CommandResult } from '../../../workers/workspace/command.js';
import { Shell } from '../../../workers/workspace/shell.js';

interface Ran {
  out: string;
  err: string;
  notes: string[];
  result: CommandResult;
}

interface Session {
  root: string;
  run: (command: string, options?: { cwd?: string; timeoutMs?: number; signal?: AbortSignal }) => Promise<Ran>;
  /** What a command prints that must not have anything to say about its shell. */
  out: (command: string) => Promise<string>;
}

async function open(t: Test, shell: string): Promise<Session> {
  const root = await realpath(t.testdir());
  const session = new Shell(shell);
  const run: Session['run'] = async (command, { cwd, timeoutMs = 60_000, signal = NEVER } = {}) => {
    const request = { command, shell: session, cwd, home: root, timeoutMs, signal };
    const result = await runCommand({ ...request, keptEndBytes: 32_768, onOutput: () => undefined });
    const { stdout, stderr, notes } = result;
    return { out: stdout.toText().text, err: stderr.toText().text, notes, result };
  };
  const out = async (command: string): Promise<string> => {
    const ran = await run(command);
    t.same(ran.notes, [], command);
    return ran.out;
  };
  return { root, run, out };
}

const NEVER = new AbortController().signal;

/** Of the shells that sandboxes have, those that this machine has. */
async function shells(t: Test): Promise<Map<string, string>> {
  const bin = t.testdir();
  const found = new Map<string, string>();
  for (const [name, program] of [
    ['bash', '/bin/bash'],
    ['dash', '/bin/dash'],
    ['busybox', '/bin/busybox'],
  ] as const) {
    const link = join(bin, name === 'bash' ? 'bash' : `${name}-sh`);
    const path = name === 'busybox' ? join(bin, 'sh') : link;
    await symlink(program, path);
    try {
      execFileSync(path, ['-c', 'true']);
      found.set(name, path);
    } catch {
      t.comment(`no ${name} here`);
    }
  }
  return found;
}

/** What a model may do to a shell; after each of them the session's own state is there. */
const ATTACKS = [
  'exit 3',
  'exec true',
  'kill -9 $$',
  'echo "',
  "cat <<'EOF'\nno end",
  'if true; then',
  'set -e; false; echo never',
  'set -u; echo "$nothing"',
  'set -x; set -v; set -f; set -C; true',
  'trap "echo bye; exit 5" EXIT; exit 4',
  'trap "" TERM INT; kill -TERM $$',
  'cat; read line; echo "$line"',
  'stty raw',
  'umask 777; exec 3>&1 4>&1 9>&1',
  'exec >/dev/null 2>&1 <&-',
  'printf "\\000\\377"; exit',
  'IFS=; PATH=; unset HOME; nothing',
  'return 4',
  'set -- a b c; shift 3',
  'sleep 300 >/dev/null 2>&1 & echo "$!"; kill "$!"',
  '__fairlead=x; unset __fairlead',
];

t.test('folder, variables and aliases stay, in every shell', async (t) => {
  for (const [name, shell] of await shells(t)) {
    await t.test(name, async (t) => {
      const { root, run, out } = await open(t, shell);
      await mkdir(join(root, 'sub'));
      t.equal(await out('pwd; echo "$HOME"; echo "$#"'), `${root}\n${root}\n0\n`);
      t.equal(await out(`cd sub; export A='it is "it"'"'"'s'; B=$(printf 'two\\nlines '); alias say='echo said'`), '');
      t.equal(
        await out('pwd; echo "$PWD"; env | grep ^A=; echo "[$B]"'),
        `${root}/sub\n${root}/sub\nA=it is "it"'s\n[two\nlines ]\n`,
      );
      t.equal(await out('say it; cd - >/dev/null; pwd'), `said it\n${root}\n`);
      t.equal(await out('unset A PATH; umask 027'), '');
      t.equal(await out('echo "[$A]"; umask'), '[]\n0027\n', 'what was unset stays unset, and what was set stays set');
      t.equal((await run('pwd', { cwd: join(root, 'sub') })).out, `${root}/sub\n`);
      t.equal(await out('pwd'), `${root}/sub\n`, 'a folder that was asked for is gone to');
      t.equal((await run('exit 7')).result.exitCode, 7);
      t.equal((await run('false')).result.exitCode, 1);
      t.match((await run('nothing-of-this-name')).result, { exitCode: 127 });
    });
  }
});

t.test('a command that ends, breaks or bends its shell costs its own changes at most', async (t) => {
  for (const [name, shell] of await shells(t)) {
    await t.test(name, async (t) => {
      const { root, run } = await open(t, shell);
      // Its own: in that of the machine others have theirs.
      const [tmp, before] = [join(root, 'tmp'), process.env['TMPDIR']];
      t.teardown(() => (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)));
      await mkdir(tmp);
      process.env['TMPDIR'] = tmp;
      await mkdir(join(root, 'kept'));
      await run('cd kept; export KEPT=yes');
      for (const attack of ATTACKS) {
        await run(attack, { timeoutMs: 30_000 });
        const after = await run(
          `export PATH='${process.env['PATH']}'; unset IFS; umask 022; echo "$KEPT"; pwd; echo "$-" | grep -c '[euxvfC]'`,
        );
        t.equal(after.out, `yes\n${root}/kept\n0\n`, attack);
        t.same(after.notes, [], attack);
      }
      const left = (await readdir(tmp)).filter((name) => name.startsWith('.fairlead-shell-'));
      t.same(left, [], 'nothing is left');
    });
  }
});

t.test('the state is saved where a command leaves by exit or set -e, with its own exit code', async (t) => {
  for (const [name, shell] of await shells(t)) {
    await t.test(name, async (t) => {
      const { root, run, out } = await open(t, shell);
      await mkdir(join(root, 'sub'));
      t.equal((await run('cd sub; A=1; exit 3')).result.exitCode, 3);
      t.equal(await out('echo "$A"; pwd'), `1\n${root}/sub\n`);
      t.equal((await run('set -e; cd ..; A=2; false; A=3')).result.exitCode, 1);
      t.equal(await out('echo "$A"; pwd'), `2\n${root}\n`);
      const trapped = await run('trap "echo trapped" EXIT; A=4');
      t.equal(trapped.out, 'trapped\n', 'a trap of its own runs');
      t.equal(await out('echo "$A"'), '4\n', 'and the trap has gone');
    });
  }
});

t.test('what a command sees of its errors and traces is its own', async (t) => {
  const { run } = await open(t, '/bin/bash');
  await run(':');
  t.match((await run('set -x; true')).err, /^\+{1,2} true\n$/);
  t.equal((await run('trap "echo debug" DEBUG; true')).out, 'debug\n');
  t.equal((await run('\nnothing-here')).err, '/bin/bash: line 2: nothing-here: command not found\n');
  t.equal((await run('echo "')).result.exitCode, 2);
});

t.test('bash keeps functions, arrays and what is exported, and takes no name for its own', async (t) => {
  const { run, out } = await open(t, '/bin/bash');
  await run(
    'f() { echo "f $1"; }; g() { echo g; }; export -f g; declare -A map=([a]=1 [b c]=$\'2\\xff\'); list=(x "y z"); readonly R=1',
  );
  t.equal(
    await out('f 1; bash -c g; echo "${map[a]} ${list[1]} $R"; echo -n "${map[b c]}" | wc -c'),
    'f 1\ng\n1 y z 1\n2\n',
  );
  await run('cd() { echo mine; }; printf() { :; }; declare() { :; }; alias exit=true umask=false; set() { :; }; A=1');
  t.equal(await out('cd /; echo "$A"'), 'mine\n1\n');
  t.equal(await out('builtin cd /; unset -f cd; pwd'), '/\n');
  t.equal(await out('pwd; type -t f'), '/\nfunction\n');
});

t.test('a folder that is gone, and a shell that ended unsaved, are said', async (t) => {
  for (const [name, shell] of await shells(t)) {
    await t.test(name, async (t) => {
      const { root, run, out } = await open(t, shell);
      await run('mkdir gone; cd gone; A=1');
      await rm(join(root, 'gone'), { recursive: true });
      const after = await run('pwd; echo "$A"');
      t.equal(after.out, `${root}\n1\n`);
      t.match(after.notes, [/gone" is gone or closed: it ran in \/workspace/]);
      t.equal(await out('pwd'), `${root}\n`, 'once');
      for (const end of ['A=2; exec true', 'A=2; kill -9 $$'])
        t.match((await run(end)).notes, [/ended without saving/], end);
      const hung = await run('A=2; sleep 300', { timeoutMs: 300 });
      t.match(hung.result, { endedBy: 'timeout' });
      t.match(hung.notes, [/ended without saving.*folder and variables from before/]);
      t.equal(await out('echo "$A"'), '1\n');
    });
  }
});

t.test('a state that is too large is not kept, and said', async (t) => {
  const { run, out } = await open(t, '/bin/bash');
  await run('A=1');
  t.match((await run('A=2; B=$(head -c 600000 /dev/zero | tr "\\0" x)')).notes, [/more than 524288 bytes/]);
  t.equal(await out('echo "$A ${#B}"'), '1 0\n');
  t.equal(await out('C=$(head -c 400000 /dev/zero | tr "\\0" x)'), '');
  t.equal(await out('echo "${#C}"'), '400000\n');
});

t.test(
  'of commands side by side the one that began first keeps its changes, and the others say that they do not',
  async (t) => {
    const { root, run, out } = await open(t, '/bin/bash');
    await mkdir(join(root, 'sub'));
    await run('A=1');
    const first = run('until [ -e go ]; do sleep 0.01; done; A=2');
    const quiet = await run('echo "$A"');
    t.equal(quiet.out, '1\n');
    t.same(quiet.notes, [], 'it has changed nothing');
    t.match((await run('cd sub; touch ../go')).notes, [/beside another command.*not kept/]);
    t.same((await first).notes, []);
    t.equal(await out('echo "$A"; pwd'), `2\n${root}\n`);
  },
);

t.test('a cancel ends what its call has started, and nothing that an earlier one has', async (t) => {
  const { run, out } = await open(t, '/bin/bash');
  await run('sleep 300 >/dev/null 2>&1 & P=$!');
  const cancel = new AbortController();
  const hung = run('touch up; sleep 301', { signal: cancel.signal });
  await out('until [ -e up ]; do sleep 0.01; done');
  cancel.abort();
  t.match((await hung).result, { endedBy: 'cancel' });
  t.equal(await out('kill -0 $P && kill $P && echo alive'), 'alive\n');
});

t.test('a shell that is new is said once', async (t) => {
  const root = await realpath(t.testdir());
  const shell = new Shell();
  shell.isNewBecause('the sandbox was restored');
  const run = async (): Promise<string[]> => {
    const request = { command: ':', shell, home: root, timeoutMs: 60_000, signal: NEVER, keptEndBytes: 1_000 };
    return (await runCommand({ ...request, onOutput: () => undefined })).notes;
  };
  t.match(await run(), [/a new shell, since the sandbox was restored: folder, variables and functions begin anew/]);
  t.same(await run(), []);
});
