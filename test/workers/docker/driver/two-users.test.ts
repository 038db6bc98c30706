import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { createLog } from '../../../../src/shared/log.js';
import { DockerDriver } from '../../../../workers/docker/driver/docker-driver.js';
import type { RunningSandbox } from '../../../../workers/docker/driver/driver.js';
import { FAULT_META } from '../../../../workers/workspace/server.js';
import { docker, dockerHost } from '../../../helpers/docker.js';
import { makeOldImage } from '../../../helpers/old-image.js';
import { makeTinyImage } from '../../../helpers/tiny-image.js';
import { sh, startBox, ToolLines } from './hardening/box.js';

t.setTimeout(240_000);

interface Processes {
  server: string;
  runner: string;
}

/** Their pids in the sandbox. */
async function processes(box: RunningSandbox): Promise<Processes> {
  const { stdout } = await sh(
    box,
    `for p in /proc/[0-9]*; do case "$(tr '\\0' ' ' < $p/cmdline)" in
*/workspace.cjs*) case "$(cat $p/comm)" in docker-init|tini) ;; *) echo "server \${p#/proc/}";; esac;;
*/runner.cjs*) echo "runner \${p#/proc/}";; esac; done`,
  );
  const found = new Map(stdout.split('\n').map((line) => line.split(' ') as [string, string]));
  return { server: found.get('server') ?? '', runner: found.get('runner') ?? '' };
}

async function said(tools: ToolLines, command: string): Promise<string> {
  const { content } = await tools.call('run_command', { command });
  return (content ?? []).map(({ text }) => text ?? '').join('\n');
}

async function first(box: RunningSandbox): Promise<string> {
  for await (const line of createInterface({ input: box.stdout })) return line;
  return '';
}

async function labelOf(box: RunningSandbox): Promise<string | undefined> {
  return (await docker().getContainer(box.id).inspect()).Config.Labels['fairlead.users'];
}

async function uidOf(box: RunningSandbox, pid: string): Promise<string> {
  return (await sh(box, `sed -n 's/^Uid:\\t\\([0-9]*\\).*/\\1/p' /proc/${pid}/status`)).stdout.trim();
}

t.test('commands and files belong to another user than the server, and neither is root', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const { server, runner } = await processes(box);
  const [serverUid, runnerUid] = [await uidOf(box, server), await uidOf(box, runner)];
  t.not(serverUid, runnerUid);
  for (const uid of [serverUid, runnerUid]) t.ok(Number(uid) >= 1_900_000_000, uid);
  t.match(
    await said(tools, 'id -u; id -g; whoami; echo $HOME; pwd'),
    [runnerUid, runnerUid, 'fairlead', '/workspace', '/workspace'].join('\n'),
  );
  t.match(await said(tools, 'grep -E "CapEff|NoNewPrivs" /proc/self/status'), /CapEff:\t0{16}\nNoNewPrivs:\t1/);
  await tools.call('write_file', { path: 'run.sh', content: '#!/bin/sh\necho it runs\n' });
  t.match(await said(tools, 'chmod +x run.sh && ./run.sh && stat -c %U run.sh'), /it runs\nfairlead\n/);
  await said(tools, 'umask 077; echo secret > private');
  t.match(await tools.call('read_file', { path: 'private' }), { content: [{ text: /secret/ }] });
  t.match(await said(tools, 'echo "console.log(6 * 7, process.pid > 0)" > a.js; node a.js'), /^42 true\n/);
  const { Config } = await docker().getContainer(box.id).inspect();
  t.equal(Config.User, `${serverUid}:${serverUid}`);
});

t.test('a command reaches neither the server nor the runner', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const lines: string[] = [];
  createInterface({ input: box.stdout }).on('line', (line) => lines.push(line));
  const { server, runner } = await processes(box);
  t.ok(server && runner);
  const lie = '{"jsonrpc":"2.0","id":"g0-1","result":{"content":[]}}';
  for (const pid of [server, runner, '1']) {
    const attacks = {
      stdout: `echo '${lie}' > /proc/${pid}/fd/1`,
      stdin: `timeout 1 head -c 1 /proc/${pid}/fd/0`,
      files: `ls /proc/${pid}/fd`,
      memory: `dd if=/proc/${pid}/mem bs=1 count=1 skip=4194304`,
      patch: `dd if=/dev/zero of=/proc/${pid}/mem bs=1 count=1 seek=4194304`,
      environment: `cat /proc/${pid}/environ`,
      place: `ls /proc/${pid}/cwd/ && ls /proc/${pid}/root/`,
    };
    // Of PID 1 and the server the user is another one; of the runner it is the same.
    for (const [name, attack] of Object.entries(attacks)) {
      t.match(
        await said(tools, `(${attack}) 2>&1; echo "code $?"`),
        /(denied|not permitted)[\s\S]*code [1-9]/,
        `${name} of ${pid}`,
      );
    }
  }
  const control = 'sleep 100 & cat /proc/$!/environ > /dev/null && ls /proc/$!/fd > /dev/null && kill $! && echo sound';
  t.match(await said(tools, control), /^sound\n/, 'of a program that can be read the same attacks work');
  for (const signal of ['STOP', 'KILL', 'USR1', 'TERM']) {
    t.match(await said(tools, `kill -${signal} ${server} 2>&1; echo "code $?"`), /not permitted[\s\S]*code 1/, signal);
  }
  const secrets =
    'env | grep -c FAIRLEAD_RUNNER; cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" | grep RUNNER_SECRET';
  t.match(await said(tools, secrets), /^0\n/);
  t.notMatch(lines.join('\n'), 'g0-1');
});

t.test('SIGUSR1 opens no inspector, neither at once nor later', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const { runner } = await processes(box);
  const look = 'grep -c " 0A " /proc/net/tcp /proc/net/tcp6';
  t.match(await said(tools, `kill -USR1 ${runner}; kill -USR1 ${runner}; ${look}`), /tcp:0\n[^\n]*tcp6:0/);
  t.match(await said(tools, 'echo still here'), 'still here');
  // Without the handler, as in the moment before it is installed.
  const bare =
    '/opt/fairlead/ld /opt/fairlead/node --inspect-port=192.0.2.1:9229 -e "setInterval(() => 0, 1000); console.log(1)"';
  const signalled = `${bare} > out 2> err & until [ -s out ]; do :; done; kill -USR1 $!; until [ -s err ]; do :; done; cat err; ${look}; kill $!`;
  t.match(await said(tools, signalled), /failed[\s\S]*tcp:0\n[^\n]*tcp6:0/);
});

t.test('a command that kills or stops all it can costs its own call, and the next one works', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  await tools.call('write_file', { path: 'kept', content: 'kept' });
  for (const attack of ['kill -9 -1', 'kill -STOP -1; kill -9 -1']) {
    const killed = await tools.call('run_command', { command: attack });
    t.match(killed, { isError: true, _meta: { [FAULT_META]: 'NO_RUNNER' }, content: [{ text: /Files stay/ }] }, attack);
    t.match(await tools.call('read_file', { path: 'kept' }), { content: [{ text: /kept/ }] });
    t.match(
      await said(tools, 'whoami'),
      /^fairlead\n[\s\S]*\[a new shell, since the process that runs the tools has ended/,
    );
    t.notMatch(await said(tools, 'cd /tmp; export A=kept'), 'a new shell');
    t.match(await said(tools, 'pwd; echo "$A"; ls -A | grep -c fairlead-shell'), /^\/tmp\nkept\n0\n/);
    await said(tools, 'cd /workspace');
  }
  const { State } = await docker().getContainer(box.id).inspect();
  t.equal(State.Running, true);
});

t.test('a command that closes the workspace or empties /tmp leaves the next one everything it needs', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  await tools.call('write_file', { path: 'kept', content: 'kept' });
  for (const attack of [
    'chmod 000 /workspace',
    'rm -rf /tmp/*',
    'chmod 000 /tmp',
    'chmod 700 /tmp; rm -rf /tmp/* /dev/shm/*',
  ]) {
    await said(tools, attack);
    t.match(await said(tools, 'cat kept; echo " and" $(echo more)'), /^kept and more\n/, attack);
    await said(tools, attack);
    t.match(
      await tools.call('read_file', { path: 'kept' }),
      { isError: undefined, content: [{ text: /kept/ }] },
      attack,
    );
  }
  t.match(await said(tools, 'echo oops > /dev/stderr'), /oops/, 'real pipes again');
});

t.test('a runner that is stopped is given up, killed and replaced', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const { runner } = await processes(box);
  const call = tools.call('run_command', { command: `kill -STOP ${runner}; sleep 100`, timeout_ms: 90_000 });
  t.match(await call, { isError: true, _meta: { [FAULT_META]: 'NO_RUNNER' } });
  t.match(await said(tools, 'echo again'), /^again\n/);
  const now = await processes(box);
  t.not(now.runner, runner);
  t.notMatch(await said(tools, `cat /proc/${runner}/stat`), /runner| T /);
});

t.test('a background program survives the end of the runner that has started it', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const { runner } = await processes(box);
  await tools.call('run_command', { command: 'setsid sleep 1000 > /dev/null 2>&1 & echo $! > pid' });
  t.match(await tools.call('run_command', { command: `kill -9 ${runner}; sleep 10` }), { isError: true });
  t.match(await said(tools, 'kill -0 $(cat pid) && echo it lives'), /it lives/);
});

t.test('who connects to the server’s socket is not the runner, and cannot replace it', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const hello = '{"type":"hello","secret":"00","pid":1,"uid":0}';
  const script = `const s = require('node:net').connect('/run/fairlead/runner.sock', () => s.write('${hello}\\n'));
    s.on('close', () => console.log('closed')); s.on('data', (d) => console.log('LEAK', String(d)));`;
  await tools.call('write_file', { path: 'stranger.js', content: script });
  t.match(await said(tools, 'node stranger.js'), /^closed\n/);
  t.match(
    await said(tools, 'rm -f /run/fairlead/runner.sock 2>&1; touch /run/fairlead/x 2>&1; echo x 2>&1 >> /etc/passwd'),
    /denied[\s\S]*denied/,
  );
  t.match(await said(tools, 'whoami'), /^fairlead\n/);
});

t.test('no two sandboxes have a user in common', async (t) => {
  const boxes = await Promise.all([startBox(t), startBox(t), startBox(t)]);
  const uids: string[] = [];
  for (const box of boxes) {
    await ToolLines.open(box);
    const { server, runner } = await processes(box);
    uids.push(await uidOf(box, server), await uidOf(box, runner));
  }
  t.equal(new Set(uids).size, 6, uids.join(' '));
});

t.test('an image without a runner has one user, which is its own too', async (t) => {
  const image = await makeTinyImage('id -u; echo a > /workspace/a && cat /workspace/a; exec cat');
  t.teardown(() => image.remove());
  const [one, other] = await Promise.all([startBox(t, image.tag), startBox(t, image.tag)]);
  const [a, b] = await Promise.all([first(one), first(other)]);
  t.not(a, b);
  t.ok(Number(a) >= 1_900_000_000);
  t.equal((await sh(one, 'id -u; cat /workspace/a')).stdout, `${a}\na\n`);
});

t.test('an image of before serves its tools with one user, and the log says to build it anew', async (t) => {
  const image = await makeOldImage();
  t.teardown(() => image.remove());
  const warned: unknown[] = [];
  const log = createLog('test', 'silent');
  log.warn = ((_: object, text: string) => void warned.push(text)) as typeof log.warn;
  const driver = new DockerDriver(parseConfig({}, { DOCKER_HOST: dockerHost() }), randomUUID(), log);
  const request = { server: 'workspace', image: image.tag, env: {}, signal: new AbortController().signal };
  for (let time = 0; time < 2; time++) {
    const imageId = await driver.resolveImage(image.tag, 'workspace');
    const box = await driver.start({ ...request, imageId, name: `fairlead-test-${randomUUID()}` });
    t.teardown(() => box.destroy());
    box.stderr.resume();
    const tools = await ToolLines.open(box);
    await tools.call('write_file', { path: 'a', content: 'a' });
    t.match(await said(tools, 'id -u; cat a'), /^19000\d{5}\na/);
  }
  t.match(warned, [/old one.*npm run image/], 'once for each image');
});

t.test('an image made from ours with a server of its own has one user, which owns the workspace', async (t) => {
  const image = await makeOldImage('ENTRYPOINT ["sh", "-c", "id -u; pwd; echo a > a; cat a; exec cat"]');
  t.teardown(() => image.remove());
  const box = await startBox(t, image.tag);
  const lines: string[] = [];
  for await (const line of createInterface({ input: box.stdout })) if (lines.push(line) === 3) break;
  t.equal((await sh(box, 'id -u; pwd')).stdout, `${lines[0]}\n/workspace\n`);
  t.same(lines.slice(1), ['/workspace', 'a']);
  const { Config } = await docker().getContainer(box.id).inspect();
  t.equal(Config.Labels['fairlead.runner'], '', 'so an adopting server knows it, too');
});

t.test('a later run gives the users of a sandbox that it finds to no other, and frees them with it', async (t) => {
  const instance = randomUUID();
  const sandbox = { uids: { from: 1_950_000_000, count: 4 }, budget: { containers: 2 }, pool: { min: 0, max: 0 } };
  const config = parseConfig({ sandbox }, { DOCKER_HOST: dockerHost() });
  const image = await makeTinyImage('exec cat');
  t.teardown(() => image.remove());
  const driver = (): DockerDriver => new DockerDriver(config, instance, createLog('test', 'silent'));
  const start = async (from: DockerDriver): Promise<RunningSandbox> => {
    const request = { server: 'workspace', image: image.tag, env: {}, signal: new AbortController().signal };
    const box = await from.start({ ...request, name: `fairlead-test-${randomUUID()}` });
    t.teardown(() => box.destroy());
    return box;
  };
  const one = await start(driver());
  const later = driver();
  const two = await start(later);
  t.not(await labelOf(one), await labelOf(two));
  await t.rejects(start(later), { code: 'ERR_UNAVAILABLE' });
  const freed = await labelOf(one);
  const found = await later.adopting.find();
  await found.find(({ id }) => id === one.id)?.destroy();
  t.equal(await labelOf(await start(later)), freed);
});
