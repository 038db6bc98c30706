/** Docker fails under a running engine: what its health, its metrics and the people in conversation see. */
import t from 'tap';
import { DockerProxy } from '../helpers/docker-proxy.js';
import { docker } from '../helpers/docker.js';
import { text, tool } from '../helpers/model-server.js';
import { startStack, type Stack } from '../helpers/stack.js';
import { makeTinyImage, tinyServer } from '../helpers/tiny-image.js';
import { connect } from '../helpers/ws-client.js';
import { fetchMetrics } from '../helpers/metrics.js';

/** A tool that says that it is up, whatever it is called with. */
const image = await makeTinyImage(
  tinyServer(
    `n=\${line#*'"id":'}; n=\${n%%,*}; n=\${n%%\\}*}; printf '%s\\n' '{"jsonrpc":"2.0","id":'"$n"',"result":{"content":[{"type":"text","text":"up"}]}}'`,
  ),
);
t.teardown(() => image.remove());

const WAIT_MS = 30_000;
const ANY = /./;

interface Ready {
  status: number;
  reasons: string[];
}

async function readyz({ engine }: Stack): Promise<Ready> {
  const response = await fetch(`${engine.url}/readyz`);
  const { reasons } = (await response.json()) as { reasons: string[] };
  return { status: response.status, reasons };
}

async function breakerMetric({ engine }: Stack): Promise<number> {
  const metrics = await fetchMetrics(engine.url);
  return Number(/^fairlead_docker_breaker_open(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1]);
}

/** Asks as a load balancer does. */
async function until<T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`still ${JSON.stringify(answer)} after ${WAIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

t.test(
  'Docker fails: /readyz and the metrics say so, people go on talking, and all is well again without a restart',
  async (t) => {
    const proxy = await DockerProxy.start();
    t.teardown(() => proxy.close());
    const stack = await startStack({
      config: {
        sandbox: { driver: 'docker', pool: { min: 1, max: 1 } },
        approvals: { default: 'allow' },
        mcpServers: { tiny: { image: image.tag } },
      },
      env: { DOCKER_HOST: proxy.host },
    });
    t.teardown(() => stack.stop());
    t.teardown(() => proxy.heal());
    const { engine, model } = stack;
    const client = await connect(engine.wsUrl);
    t.teardown(() => client.close());
    t.match(await client.ask('hello'), { stopReason: 'end_turn' });
    t.same(await readyz(stack), { status: 200, reasons: [] });
    t.equal(await breakerMetric(stack), 0);
    const warm = await until(
      () => stack.allContainers(),
      (all) => all.some(({ state }) => state === 'running'),
    );

    proxy.fault(ANY, { status: 500, message: 'the daemon is unwell' });
    // Docker refuses to kill one that has not started yet.
    const running = warm.filter(({ state }) => state === 'running');
    await Promise.all(running.map(({ id }) => docker().getContainer(id).kill()));
    const away = await until(
      () => readyz(stack),
      ({ status }) => status === 503,
    );
    t.match(away.reasons, [/^Docker does not answer \(circuit breaker (?:open|half-open)\)$/]);
    t.ok(
      (await until(
        () => breakerMetric(stack),
        (value) => value > 0,
      )) <= 1,
    );
    t.equal((await fetch(`${engine.url}/healthz`)).status, 200, 'a restart would help nobody');
    t.match(await client.ask('are you there?'), { stopReason: 'end_turn' });
    model.enqueue(tool('echo', {}), text('no sandbox, then'));
    client.say('run it');
    t.match(await client.waitFor('tool:result'), { ok: false });
    t.match(await client.turnEnd(), { stopReason: 'end_turn' });

    proxy.heal();
    await until(
      () => readyz(stack),
      ({ status }) => status === 200,
    );
    await until(
      () => breakerMetric(stack),
      (value) => value === 0,
    );
    model.enqueue(tool('echo', {}), text('there it is'));
    client.say('and now?');
    t.match(await client.waitFor('tool:result'), { ok: true });
    t.match(await client.turnEnd(), { stopReason: 'end_turn' });
    t.same(model.violations, []);
  },
);
