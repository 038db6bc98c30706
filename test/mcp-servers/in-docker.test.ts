import t from 'tap';
import { isFairleadError } from '../../src/shared/errors.js';
import { until } from '../helpers/until.js';
import { docker } from '../helpers/docker.js';
import { callOf, OF, startCommands, textOf } from '../workers/agent/mcp/command/command-bench.js';
import { SHOWS, showAll, type Shows } from './every-server.js';
import { inside, makeNodeImage, type NodeImage, type ProgramName } from './node-image.js';
import { startSandboxes } from './sandbox-host.js';

const NAMES = ['v1', 'v2', 'everything', 'filesystem', 'memory'] as const;
const ARGS: Partial<Record<ProgramName, string[]>> = { everything: ['stdio'], filesystem: ['/workspace'] };
const ENV = { MEMORY_FILE_PATH: '/workspace/memory.jsonl' };
/** A server in a sandbox may ask only where it is configured. */
const ASKS = { elicitation: true, roots: true };
const SANDBOX = { pool: { min: 0, maxStarting: 2 }, startTimeoutMs: 30_000 };

const images = new Map<string, NodeImage>();
for (const name of NAMES) images.set(name, await makeNodeImage(name, ...(ARGS[name] ?? [])));
images.set('modern', await makeNodeImage('v2', '--modern'));
t.teardown(async () => {
  for (const image of images.values()) await image.remove();
});

const tagOf = (name: string): string => images.get(name)?.tag ?? '';
const showsOf = (name: string): Shows => SHOWS[name === 'modern' ? 'v2' : (name as ProgramName)];

async function execIn(container: string, script: string): Promise<void> {
  const exec = await docker()
    .getContainer(container)
    .exec({ Cmd: ['sh', '-c', script] });
  const answer = await exec.start({ Detach: true });
  answer.resume();
}

for (const name of NAMES) {
  void t.test(`${name} in another’s sandbox: shown whole, killed under it and used again`, async (t) => {
    const servers = {
      box: { image: tagOf('v1') },
      [name]: { command: 'node', args: [inside(name), ...(ARGS[name] ?? [])], env: ENV, sandbox: 'box', ...ASKS },
    };
    const { commands, sandboxes, lines } = startCommands(t, {
      servers,
      sandbox: SANDBOX,
      host: (config, log) => startSandboxes(t, config, log, 'docker').host,
    });
    const { plain } = showsOf(name);
    await showAll(t, showsOf(name), () => commands.get(OF, name));
    const connection = await commands.get(OF, name);
    t.equal(connection.era, name === 'v2' ? 'modern' : 'legacy');
    const { sandbox } = await sandboxes.get(OF, 'box');
    await execIn(sandbox, 'for p in /proc/[0-9]*; do grep -qs FAIRLEAD_EXEC $p/environ && kill -9 ${p#/proc/}; done');
    await until('its end is noticed', () => lines.some(({ msg }) => msg === 'mcp server ended'), { timeoutMs: 15_000 });
    const again = await commands.get(OF, name);
    t.not(again, connection);
    t.match(await textOf(again, callOf(plain.name, plain.args)), plain.answers);
    t.equal((await sandboxes.get(OF, 'box')).sandbox, sandbox, 'in the same sandbox');
  });
}

for (const name of [...NAMES, 'modern']) {
  void t.test(`${name} as an image: shown whole, killed under it and used again`, async (t) => {
    const { sandboxes } = startCommands(t, {
      servers: { it: { image: tagOf(name), env: ENV, ...ASKS } },
      sandbox: SANDBOX,
      host: (config, log) => startSandboxes(t, config, log, 'docker').host,
    });
    const { plain, slow } = showsOf(name);
    await showAll(t, showsOf(name), () => sandboxes.get(OF, 'it'));
    const connection = await sandboxes.get(OF, 'it');
    t.equal(
      connection.era,
      name === 'modern' ? 'modern' : 'legacy',
      'one that knows both is spoken to as it always was',
    );
    const running = slow && connection.callTool(callOf(slow.name, slow.args));
    const ended = running?.catch((error: unknown) => error);
    await docker().getContainer(connection.sandbox).kill();
    if (ended) t.ok(isFairleadError(await ended, 'ERR_SANDBOX'), 'who waits is told');
    await until('it is gone', async () => (await sandboxes.get(OF, 'it')) !== connection, { timeoutMs: 20_000 });
    const again = await sandboxes.get(OF, 'it');
    t.match(await textOf(again, callOf(plain.name, plain.args)), plain.answers);
  });
}
