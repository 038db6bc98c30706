/** Programs of this machine, run under the profile: what a user's commands need must be in it. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { containerOptions } from '../../../../workers/docker/driver/container-options.js';
import { demux } from '../../../../workers/docker/driver/demux.js';
import { docker } from '../../../helpers/docker.js';
import { ECHO, makeTinyImage } from '../../../helpers/tiny-image.js';

const FOLDERS = ['/usr', '/bin', '/lib', '/lib64', '/etc/alternatives'].filter((folder) => existsSync(folder));

const echo = await makeTinyImage(ECHO, 'VOLUME /etc/alternatives');
t.teardown(() => echo.remove());

/** Runs a script in a container that is made as a sandbox is, but sees this machine's programs. */
async function ran(script: string): Promise<{ code: number; said: string }> {
  const { sandbox } = parseConfig({ sandbox: { cpus: 2 } }, {});
  const request = { name: `fairlead-test-${randomUUID()}`, server: 'tools', image: echo.tag, env: {}, volumes: [] };
  const { HostConfig: host, ...made } = containerOptions({ ...request, signal: AbortSignal.abort() }, 'test', sandbox, {
    users: { server: 20_001, runner: 20_002 },
  });
  const container = await docker().createContainer({
    ...made,
    Cmd: [
      '/usr/bin/env',
      'HOME=/workspace',
      'PATH=/usr/local/bin:/usr/bin:/bin',
      'sh',
      '-ec',
      `cd /workspace\n${script}`,
    ],
    HostConfig: { ...host, Binds: FOLDERS.map((folder) => `${folder}:${folder}:ro`) },
  });
  try {
    const options = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true };
    const socket = (await container.attach(options)) as Duplex;
    const { stdout, stderr } = demux(socket);
    const said = Promise.all([text(stdout), text(stderr)]);
    await container.start();
    const { StatusCode: code } = (await container.wait()) as { StatusCode: number };
    return { code, said: (await said).join('') };
  } finally {
    await container.remove({ force: true, v: true });
  }
}

const PROGRAMS: Record<string, string> = {
  python: `python3 -c '
import multiprocessing, socket, subprocess, threading, tempfile, sqlite3, mmap, os
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen(); b = socket.create_connection(a.getsockname())
assert subprocess.run(["true"]).returncode == 0
sqlite3.connect("/workspace/x.db").execute("create table t(a)")
os.mkfifo("/workspace/fifo"); os.memfd_create("m"); socket.if_nameindex()'`,
  node: `${process.execPath.startsWith('/usr/') ? process.execPath : 'node'} -e '
const { Worker } = require("node:worker_threads"); require("node:os").networkInterfaces();
require("node:fs").watch("/workspace").close();
new Worker("require(\\"node:child_process\\").execFileSync(\\"true\\")", { eval: true }).on("exit", (code) => process.exit(code))'`,
  git: 'git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one && git gc -q && git log --oneline',
  'a compiler and make': `printf '#include <thread>\\nint main() { std::thread([] {}).join(); }' > a.cpp
printf 'a: a.cpp\\n\\tc++ -pthread -o a a.cpp\\n' > Makefile; TMPDIR=/workspace make -j2 && ./a`,
  tar: 'echo x > f && tar -c f | tar -x -C /tmp && sort < /tmp/f | uniq -c',
};

for (const [name, script] of Object.entries(PROGRAMS)) {
  t.test(`${name} works under the profile`, async (t) => {
    const { code, said } = await ran(script);
    t.equal(code, 0, said);
  });
}
