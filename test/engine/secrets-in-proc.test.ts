/** What tools without isolation can find of the server's keys in /proc: nothing of the server, nothing of what started it. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import t from 'tap';
import { startEngine } from '../helpers/engine.js';
import { startModelServer, text, tool } from '../helpers/model-server.js';
import { stopChild, watchExit } from '../helpers/processes.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(240_000); // whole processes, on a machine that may be busy

const API_KEY = `sk-${randomBytes(12).toString('hex')}`;
const SECRET_KEY = randomBytes(32).toString('hex');
const PASSED = `pw-${randomBytes(12).toString('hex')}`;

const model = await startModelServer();
t.teardown(() => model.close());
const engine = await startEngine({
  config: {
    auth: {},
    sandbox: { driver: 'process' },
    approvals: { default: 'allow' },
    mcp: { allowLoopback: true },
    mcpServers: {
      workspace: { image: 'fairlead/workspace' },
      remote: { url: 'http://127.0.0.1:9/', headers: { authorization: '${PASSED}' } },
    },
  },
  env: {
    DOCKER_HOST: '',
    LOG_LEVEL: 'debug',
    ANTHROPIC_API_KEY: API_KEY,
    ANTHROPIC_BASE_URL: model.url,
    FAIRLEAD_SECRET_KEY: SECRET_KEY,
    PASSED,
  },
});
t.teardown(() => engine.stop());

/** npm and a shell that started the server keep its environment, and so may any other program of the account. */
const other = spawn('sleep', ['600'], { env: { ...process.env, ANTHROPIC_API_KEY: API_KEY }, stdio: 'ignore' });
const exited = watchExit(other);
t.teardown(() => stopChild(other, exited));

async function run(command: string): Promise<string> {
  const client = await connect(engine.wsUrl, { token: await engine.token() });
  model.enqueue(tool('run_command', { command }), text('done'));
  client.say('go');
  const { content } = await client.waitFor('tool:result');
  await client.turnEnd();
  await client.close();
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('\n');
}

t.test('the server shows no environment to its own account', async (t) => {
  const shown = await readFile(`/proc/${engine.pid}/environ`, 'latin1');
  for (const secret of [API_KEY, SECRET_KEY, PASSED]) t.notOk(shown.includes(secret));
  t.notOk(engine.logs.some(({ msg }) => /in \/proc/.test(msg)));
});

t.test('a command of a sandbox without isolation finds the keys in no environment of /proc', async (t) => {
  const visible = await readFile(`/proc/${other.pid}/environ`, 'latin1');
  t.ok(visible.includes(API_KEY), 'this account can read the other program, so there is something to find');
  t.ok((await readdir('/proc')).includes(String(other.pid)));
  // The words are put together by the shell, since the command itself is in an environment or a command line.
  const [head, tail] = [API_KEY.slice(0, 10), API_KEY.slice(10)];
  const seen = await run(
    `w=${head}; w=$w${tail}; n=0; for f in /proc/[0-9]*/environ; do n=$((n+1)); tr '\\0' '\\n' < $f 2>/dev/null | grep -F "$w"; done; echo "looked at some: $((n > 2))"; env | grep -F "$w"; true`,
  );
  t.match(seen, 'looked at some: 1');
  t.notMatch(seen.replace(`w=${head}`, ''), API_KEY);
  t.notMatch(await run(`cat /proc/${engine.pid}/environ /proc/${other.pid}/environ 2>&1; true`), API_KEY);
});

t.test('nor can it read the server’s memory and open files, or open its inspector', async (t) => {
  const denied = await run(
    `head -c 1 /proc/${engine.pid}/mem; ls /proc/${engine.pid}/fd/; cat /proc/${engine.pid}/maps; true`,
  );
  t.match(denied, /Permission denied/);
  t.notMatch(denied, /\.node|heap/);
  await run(`kill -USR1 ${engine.pid}; true`);
  await engine.waitForLog(({ msg }) => msg.startsWith('SIGUSR1 is ignored'));
  t.notOk(engine.logs.some(({ msg }) => /Debugger listening/.test(msg)));
});
