import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { eachLine, watchExit, within } from '../../helpers/processes.js';

const MODULE = new URL('../../../src/boot/environment.js', import.meta.url).href;

interface Hidden {
  /** What the expression is in a process that has hidden its environment. */
  value: unknown;
  /** Why it could not be hidden. */
  why?: string;
  /** What /proc shows of the process meanwhile. */
  shown: string;
}

async function hidden(t: Test, expression: string, env: Record<string, string>): Promise<Hidden> {
  const script = `import { execFileSync } from 'node:child_process';
    import { hideEnvironment } from '${MODULE}';
    const why = hideEnvironment();
    console.log(JSON.stringify({ value: ${expression}, why }));
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = watchExit(child);
  t.teardown(async () => {
    child.stdin.end();
    await exited;
  });
  const line = new Promise<string>((resolve) => eachLine(child.stdout, resolve));
  const printed = await within(line, 20_000, () => 'it prints nothing');
  return {
    ...(JSON.parse(printed) as Omit<Hidden, 'shown'>),
    shown: readFileSync(`/proc/${child.pid}/environ`, 'latin1'),
  };
}

t.test('/proc shows nothing of the environment, neither keys nor what else was in it', async (t) => {
  const env = { ANTHROPIC_API_KEY: 'sk-hidden', UNKNOWN_PASSWORD: 'pw-hidden', LONG: 'x'.repeat(100_000) };
  const { value, why, shown } = await hidden(t, 'process.env.ANTHROPIC_API_KEY ?? null', env);
  t.equal(why, undefined);
  t.equal(value, null, 'the configuration alone has it');
  t.ok(shown.length > 100_000);
  t.equal(shown.replaceAll('\0', ''), '');
});

t.test('nothing that says who asks the model is left in the environment', async (t) => {
  const names = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_CUSTOM_HEADERS'];
  const env = Object.fromEntries(names.map((name) => [name, 'hidden']));
  const { value } = await hidden(t, 'Object.keys(process.env)', env);
  for (const name of names) t.notOk((value as string[]).includes(name), name);
});

t.test('what else is in the environment stays usable, also for child processes', async (t) => {
  const inChild = `execFileSync('sh', ['-c', 'echo "$KEPT,$EMPTY,$ANTHROPIC_API_KEY."']).toString()`;
  const env = { KEPT: 'kept = ü', EMPTY: '', ANTHROPIC_API_KEY: 'sk-hidden' };
  const { value, why } = await hidden(t, `[process.env.KEPT, process.env.EMPTY, ${inChild}]`, env);
  t.equal(why, undefined);
  t.same(value, ['kept = ü', '', 'kept = ü,,.\n']);
});
