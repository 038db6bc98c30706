import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import t from 'tap';
import { SERVER } from './workspace-client.js';

interface Answer {
  id?: string;
  method?: string;
  params?: { progressToken?: string; message?: string };
  result?: { content?: { text: string }[] };
}

/** Prints the shell's number; then does nothing for longer than the test lives. */
const SLOW = 'echo "pid $$"; sleep 300';

const initialize = (id: string): object => ({
  id,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
});
const run = (id: string, command: string): object => ({
  id,
  method: 'tools/call',
  params: { name: 'run_command', arguments: { command, timeout_ms: 600_000 }, _meta: { progressToken: id } },
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

t.test(
  'a second client after half a line: what the first one had running ends, what lies in the background goes on',
  async (t) => {
    const root = t.testdir();
    const env = { ...process.env, FAIRLEAD_WORKSPACE: root };
    const child = spawn(process.execPath, [SERVER], { env, stdio: ['pipe', 'pipe', 'ignore'] });
    t.teardown(() => child.kill('SIGKILL'));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const seen: Answer[] = [];
    const send = (message: object): void => {
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    };
    const until = async (found: (answer: Answer) => boolean): Promise<Answer> => {
      for (;;) {
        const { value } = await lines.next();
        const answer = JSON.parse(value as string) as Answer;
        seen.push(answer);
        if (found(answer)) return answer;
      }
    };

    send(initialize('a-0'));
    send(run('a-1', 'sleep 300 > /dev/null 2>&1 & echo $!'));
    const background = Number(
      /\d+/.exec((await until(({ id }) => id === 'a-1')).result?.content?.[0]?.text ?? '')?.[0],
    );
    send(run('a-2', SLOW));
    const { params } = await until(({ params }) => params?.message?.includes('pid') ?? false);
    const slow = Number(/pid (\d+)/.exec(params?.message ?? '')?.[1]);
    t.ok(isAlive(slow) && isAlive(background));
    child.stdin.write('{"jsonrpc":"2.0","id":"a-3","method":"tools/ca');

    seen.length = 0;
    child.stdin.write('\n');
    send(initialize('b-0'));
    t.match(await until(({ id }) => id === 'b-0'), { result: { serverInfo: {} } });
    send(run('b-1', `while kill -0 ${slow} 2>/dev/null; do sleep 0.05; done; echo gone > gone`));
    await until(({ id }) => id === 'b-1');
    t.ok(existsSync(join(root, 'gone')));
    t.notOk(isAlive(slow));
    t.ok(isAlive(background));
    t.notOk(
      seen.some(({ id, params }) => [id, params?.progressToken].includes('a-2')),
      'nothing more is said to the first',
    );
    child.stdin.end();
    await once(child, 'exit');
  },
);
