/** Images that cannot be sandboxes: told in plain words, few starts, and the pools of other images untouched. */
import t, { type Test } from 'tap';
import { pack } from 'tar-stream';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { parseConfig } from '../../../../src/shared/config.js';
import { isFairleadError, type FairleadError } from '../../../../src/shared/errors.js';
import { docker, dockerHost } from '../../../helpers/docker.js';
import { openSandboxes, type OpenedSandboxes } from '../../../helpers/docker-proxy.js';
import { EngineStartError, startEngine } from '../../../helpers/engine.js';
import { makeTinyImage, tinyServer, type TinyImage } from '../../../helpers/tiny-image.js';
import { settled } from '../driver/docker-events.js';

const MB_20 = 20 * 1_048_576;
const echo = tinyServer(`printf '%s\\n' "$line"`);
const initialize = (reply: string): string =>
  `while IFS= read -r line; do case "$line" in *'"method":"initialize"'*) ${reply};; esac; done`;
const handshake = JSON.stringify({
  jsonrpc: '2.0',
  id: 'warm-0',
  result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'bad', version: '1' } },
});
const scripts = {
  good: echo,
  exits: 'echo why >&2; exit 7',
  notFound: 'exec /no/such/program',
  mute: 'exec sleep 600',
  garbage: 'echo "I am a shell"; exec cat > /dev/null',
  refuses: initialize(`echo '{"jsonrpc":"2.0","id":"warm-0","error":{"code":-32603,"message":"I do not want to"}}'`),
  wrongShape: initialize(`echo '{"jsonrpc":"2.0","id":"warm-0","result":[1,2,3]}'`),
  noTools: initialize(`echo '${handshake}'`),
  endless: `head -c ${MB_20} /dev/zero | tr '\\0' x; exec sleep 600`,
  closes: 'exec >&- 2>&-; exec sleep 600',
};
const made: Record<string, TinyImage> = {};
for (const [name, script] of Object.entries(scripts)) made[name] = await makeTinyImage(script);
t.teardown(() => Promise.all(Object.values(made).map((image) => image.remove())));

function tags(...names: (keyof typeof scripts)[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, made[name]?.tag ?? '']));
}

/** An image whose command is a file that is not there: what runc refuses, not what a shell does. */
async function makeEmptyImage(t: Test): Promise<string> {
  const rootfs = pack();
  rootfs.entry({ name: 'etc/', type: 'directory' });
  rootfs.finalize();
  const tag = `fairlead-test-empty:${process.pid}`;
  const [repo, name] = tag.split(':');
  const content = Readable.from([await buffer(rootfs)], { objectMode: false });
  await buffer(await docker().importImage(content, { repo, tag: name, changes: 'CMD ["/no/such/program"]' }));
  t.teardown(async () => void (await docker().getImage(tag).remove({ force: true })));
  return tag;
}

async function refusal(opened: OpenedSandboxes, server: string): Promise<FairleadError> {
  try {
    await opened.lease(server);
  } catch (error) {
    if (isFairleadError(error)) return error;
    throw error;
  }
  throw new Error(`${server} was leased`);
}

/** What a person can be shown: one short line, with no code of ours in it. */
function plain(t: Test, { message }: FairleadError, name: string): void {
  t.ok(message.length < 600, `${name}: ${message.length} characters`);
  t.notMatch(message, /\n|\bat .*\.js:|undefined|\[object|ZodError/, name);
}

/** How often Docker was asked to make one for this server. */
function creates({ proxy }: OpenedSandboxes, server: string): number {
  return proxy.count(new RegExp(`^POST /containers/create.*"fairlead.server":"${server}"`));
}

/** Leases one, talks to it, gives it back; ms of the lease. */
async function use(opened: OpenedSandboxes, server: string): Promise<number> {
  const began = performance.now();
  const { port, sandbox } = await opened.lease(server, 'other');
  const ms = performance.now() - began;
  port.write('fine\n');
  await port.until(() => port.text === 'fine\n');
  await opened.sandboxes.release(sandbox);
  return ms;
}

/** As a client that does not give up; `false` from `enough` means again. */
async function until<T>(ask: () => Promise<T>, enough: (answer: T) => boolean): Promise<T> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (enough(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`still ${String(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

t.test('each image that is no MCP server is ERR_SANDBOX in plain words that say what it did', async (t) => {
  const images = {
    ...tags('good', 'exits', 'notFound', 'mute', 'garbage', 'refuses', 'wrongShape', 'noTools', 'endless', 'closes'),
    empty: await makeEmptyImage(t),
    missing: 'fairlead-test/no-such-image:1',
  };
  const opened = await openSandboxes(t, { images, sandbox: { startTimeoutMs: 10_000 } });
  const expected: Record<string, RegExp> = {
    exits: /exited with code 7/,
    notFound: /exited with code 127/,
    mute: /did not answer the handshake/,
    garbage: /I am a shell/,
    refuses: /I do not want to/,
    wrongShape: /handshake/,
    noTools: /tools\/list/,
    endless: /handshake/,
    closes: /handshake|closed its output/,
    empty: /exited with code 127/,
    missing: /fairlead-test\/no-such-image:1 of missing is missing/,
  };
  await Promise.all(
    Object.entries(expected).map(async ([server, pattern]) => {
      const error = await refusal(opened, server);
      t.match(error, { code: 'ERR_SANDBOX', message: pattern }, server);
      plain(t, error, server);
    }),
  );
  await use(opened, 'good');
  await opened.driver.close();
  t.same(
    (await opened.containers()).filter(({ labels }) => labels['fairlead.server'] !== 'good'),
    [],
    'nothing of them is left',
  );
});

t.test('broken images are started a few times in 20 s, however often they are asked for; another serves', async (t) => {
  const broken = ['exits', 'garbage', 'missing', 'empty'];
  const images = {
    ...tags('good', 'exits', 'garbage'),
    empty: await makeEmptyImage(t),
    missing: 'fairlead-test/no-such-image:1',
  };
  const opened = await openSandboxes(t, { images, warm: 3, sandbox: { startTimeoutMs: 5_000 } });
  const { proxy, sandboxes } = opened;
  await settled(() => sandboxes.count('warm') === 3);
  const until = performance.now() + 20_000;
  const asked: Record<string, number> = {};
  const storm = broken.map(async (server) => {
    while (performance.now() < until) {
      asked[server] = (asked[server] ?? 0) + 1;
      const error = await refusal(opened, server);
      if (error.code !== 'ERR_SANDBOX') t.fail(`${server}: ${error.code} ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50)); // a client that comes back at once, again and again
    }
  });
  const good: number[] = [];
  while (performance.now() < until) {
    await settled(() => sandboxes.count('warm') > 0);
    good.push(await use(opened, 'good'));
  }
  await Promise.all(storm);
  for (const server of broken) t.ok((asked[server] ?? 0) > 20, `${server}: asked for ${asked[server]} times`);
  for (const server of ['exits', 'garbage', 'empty']) {
    const count = creates(opened, server);
    t.ok(count >= 2 && count <= 8, `${server}: ${count} creates`);
  }
  t.equal(creates(opened, 'missing'), 0);
  const looks = proxy.count(/^GET \/images\/fairlead-test%2Fno-such-image|^GET \/images\/fairlead-test\/no-such-image/);
  t.ok(looks >= 2 && looks <= 8, `missing: looked for ${looks} times`);
  t.ok(good.length >= 10, `${good.length} good leases`);
  t.ok(Math.max(...good) < 1_000, `the slowest took ${Math.max(...good)} ms`);
});

t.test('the full line of an image that does not answer is its own affair', async (t) => {
  const pool = { maxWaiting: 3, maxStarting: 2 };
  const opened = await openSandboxes(t, {
    images: tags('good', 'mute'),
    warm: 2,
    sandbox: { pool, startTimeoutMs: 6_000 },
  });
  const { sandboxes } = opened;
  await settled(() => sandboxes.count('warm') === 2);
  const waiting = [1, 2, 3].map(() => refusal(opened, 'mute'));
  const began = performance.now();
  const full = await refusal(opened, 'mute');
  t.match(full, { code: 'ERR_UNAVAILABLE', message: /wait/ });
  t.ok((full.retryAfterMs ?? 0) > 0);
  t.ok(performance.now() - began < 1_000, 'at once');
  const answered = new Set<FairleadError>();
  const all = Promise.all(waiting.map(async (error) => void answered.add(await error)));
  const good: number[] = [];
  while (answered.size === 0) {
    await settled(() => sandboxes.count('warm') > 0);
    good.push(await use(opened, 'good'));
  }
  await all;
  t.ok(good.length >= 3, `${good.length} good leases`);
  t.ok(Math.max(...good) < 1_000, `the slowest took ${Math.max(...good)} ms`);
  for (const error of await Promise.all(waiting)) t.match(error, { code: 'ERR_SANDBOX', message: /did not answer/ });
  t.ok(creates(opened, 'mute') <= 4, `${creates(opened, 'mute')} creates`);
});

t.test(
  'limits and names that the daemon refuses at run time are ERR_SANDBOX that names the field, with few creates',
  async (t) => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ cpus: 10_000 }, /sandbox\.cpus/],
      [{ runtime: 'no-such-runtime' }, /sandbox\.runtime.*no-such-runtime/],
    ];
    for (const [sandbox, message] of cases) {
      const opened = await openSandboxes(t, { images: tags('good'), sandbox });
      const error = await refusal(opened, 'good');
      t.match(error, { code: 'ERR_SANDBOX', message });
      plain(t, error, message.source);
      for (let i = 0; i < 10; i++) await refusal(opened, 'good');
      const count = creates(opened, 'good');
      t.ok(count <= 2, `${message.source}: ${count} creates for eleven leases`);
      t.equal(opened.breaker.length, 0, 'what Docker refuses is no fault of Docker’s');
      await opened.sandboxes.close();
      t.same(await opened.containers(), []);
    }
  },
);

t.test('an image that is removed under a running pool is missed, and found when it is there again', async (t) => {
  const image = await makeTinyImage(echo);
  t.teardown(() => image.remove().catch(() => undefined));
  const opened = await openSandboxes(t, { images: { late: image.tag } });
  await use(opened, 'late');
  await docker().getImage(image.tag).remove();
  const missing = await until(
    () => refusal(opened, 'late'),
    ({ message }) => /is missing/.test(message),
  );
  t.match(missing, { code: 'ERR_SANDBOX' });
  const [repo = '', tag = ''] = image.tag.split(':');
  await docker()
    .getImage(made['good']?.tag ?? '')
    .tag({ repo, tag });
  await until(
    () => use(opened, 'late').catch((error: unknown) => error),
    (answer) => typeof answer === 'number',
  );
});

/** What parseConfig says of it, for two servers. */
function problems(sandbox: Record<string, unknown>): string {
  try {
    parseConfig({ sandbox, mcpServers: { a: { image: 'a' }, b: { image: 'b' } } }, {});
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

t.test('at start: a pool and a budget that cannot be are refused with the fields’ names', async (t) => {
  t.match(problems({ pool: { min: 5, max: 4 } }), /sandbox\.pool\.min: is 5, more than sandbox\.pool\.max 4/);
  t.match(problems({ pool: { min: 10 }, budget: { containers: 19 } }), /sandbox\.budget\.containers: is 19/);
  t.equal(problems({ pool: { min: 10 }, budget: { containers: 20 } }), 'none');
  t.match(problems({ pool: { min: 0 }, budget: { containers: 0 } }), /sandbox\.budget\.containers/);
  t.match(problems({ memoryMb: 0, cpus: 0, pids: 0 }), /sandbox\.memoryMb.*sandbox\.cpus.*sandbox\.pids/);
});

t.test('at start: what Docker has not, or does not allow, is an error that names the field', async (t) => {
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ['a runtime', { runtime: 'no-such-runtime' }, /sandbox\.runtime/],
  ];
  for (const [name, sandbox, message] of cases) {
    const config = { sandbox, mcpServers: { good: { image: made['good']?.tag } } };
    try {
      const engine = await startEngine({ config, env: { DOCKER_HOST: dockerHost() } });
      await engine.stop();
      t.fail(`${name}: it started`);
    } catch (error) {
      if (!(error instanceof EngineStartError)) throw error;
      t.equal(error.exit.code, 1, name);
      t.match(error.logs.map((line) => line.msg).join('\n'), message, name);
    }
  }
});
