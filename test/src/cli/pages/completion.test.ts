import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { Command, Option } from 'commander';
import { completionScript } from '../../../../src/cli/pages/completion.js';
import { shown } from '../../../../src/cli/pages/tree.js';
import { runCli } from '../spawn-cli.js';
import type { Test } from 'tap';

const run = promisify(execFile);

/** What bash offers at the end of the line, by the script of the real command. */
async function offered(line: string[], script: string): Promise<string[]> {
  const words = line.map((word) => `'${word}'`).join(' ');
  const program = `${script}\nCOMP_WORDS=(${words}); COMP_CWORD=${line.length - 1}; _fairlead; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', program]);
  return stdout.split('\n').filter((word) => word !== '');
}

async function scriptOf(t: Test, shell: string): Promise<string> {
  const { code, stdout } = await runCli(t, ['completion', shell]);
  t.equal(code, 0);
  return stdout;
}

t.test('bash completes commands, the commands below them, options and their values', async (t) => {
  const script = await scriptOf(t, 'bash');
  t.ok((await offered(['fairlead', ''], script)).includes('serve'));
  t.same(await offered(['fairlead', 'cha'], script), ['chat']);
  t.same(await offered(['fairlead', 'mcp', 'logi'], script), ['login']);
  t.same(await offered(['fairlead', 'mcp', 'list', '--js'], script), ['--json']);
  t.same(await offered(['fairlead', 'completion', ''], script).then((all) => all.filter((it) => !it.startsWith('-'))), [
    'bash',
    'zsh',
    'fish',
  ]);
  t.same(await offered(['fairlead', 'chat', '--model', 'ser'], script), [], 'a value is no command');
  t.same(await offered(['fairlead', 'chat', '--model', 'mcp', '--ses'], script), ['--session'], 'nor what follows one');
});

t.test('each shell reads its script without a word', async (t) => {
  const made = new Command('fairlead').addOption(
    new Option('--kind <kind>', 'it’s a "kind": $HOME').choices(['a', 'b']),
  );
  made.command('deep').description("don't `run` $(this)").command('down').description('a: b');
  for (const script of [await scriptOf(t, 'bash'), completionScript('bash', shown(made))]) {
    const { stdout, stderr } = await run('bash', ['--norc', '-c', script]);
    t.equal(stdout + stderr, '');
  }
  const script = completionScript('bash', shown(made));
  t.same(await offered(['fairlead', '--kind', ''], script), ['a', 'b']);
  t.same(await offered(['fairlead', 'deep', 'd'], script), ['down']);
  for (const shell of ['zsh', 'fish'] as const) {
    t.match(await scriptOf(t, shell), 'the server’s address');
    t.notMatch(completionScript(shell, shown(made)), /don't/);
  }
});

t.test('a shell that is not known is a wrong command line', async (t) => {
  t.match(await runCli(t, ['completion', 'csh']), { code: 2, stderr: /bash, zsh, fish/ });
});
