import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { ModelWatch } from '../../../src/boot/model-watch.js';
import { parseConfig } from '../../../src/shared/config.js';
import { createLog } from '../../../src/shared/log.js';
import { freePort } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

// The watch's own timer keeps no process alive.
const alive = setInterval(() => undefined, 1_000);
t.teardown(() => clearInterval(alive));

const away = { firstMs: 5, maxMs: 20 };

function watchOf(t: Test, baseUrl: string) {
  const states: (string | undefined)[] = [];
  const said: string[] = [];
  const log = createLog('test', 'silent');
  log.warn = log.error = ((_: object, text: string) => void said.push(text)) as typeof log.warn;
  const onState = (reason: string | undefined): void => void states.push(reason);
  const { anthropic, proxies } = parseConfig({}, { ANTHROPIC_API_KEY: 'sk-word', ANTHROPIC_BASE_URL: baseUrl });
  const watch = new ModelWatch({ anthropic, proxies, log, onState, away });
  t.teardown(() => watch.close());
  return { watch, states, said };
}

async function api(t: Test, status: (asked: number) => number): Promise<{ url: string; port: number }> {
  let asked = 0;
  const server = createServer((_, response: ServerResponse) => void response.writeHead(status(++asked)).end());
  t.teardown(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port };
}

t.test('a model that is away is asked again until it answers, and is told of once', async (t) => {
  const { url } = await api(t, (asked) => (asked < 8 ? 503 : 404));
  const { watch, states, said } = watchOf(t, url);
  await watch.start();
  t.match(states, [`the model at ${url} does not answer (it answers 503)`]);
  await until('it answers', () => states.at(-1) === undefined, { timeoutMs: 10_000 });
  t.equal(states.length, 4);
  t.match(said, [/ANTHROPIC_BASE_URL/]);
});

t.test('a model that nobody serves is named by its address, never with the key', async (t) => {
  const port = await freePort();
  const { watch, states, said } = watchOf(t, `http://127.0.0.1:${port}/`);
  await watch.start();
  t.equal(states[0], `the model at http://127.0.0.1:${port} does not answer (ECONNREFUSED)`);
  t.notMatch(said.join(), 'sk-word');
});

t.test('a refused key is told loudly and asked again rarely', async (t) => {
  let asked = 0;
  const { url } = await api(t, () => {
    asked++;
    return 401;
  });
  const { watch, states, said } = watchOf(t, url);
  await watch.start();
  t.same(states, [`the model at ${url} refuses the key (401)`]);
  t.match(said, [/ANTHROPIC_API_KEY/]);
  const other = watchOf(t, `http://127.0.0.1:${await freePort()}`);
  await other.watch.start();
  await until('the one that is away was asked often', () => other.states.length > 5, { timeoutMs: 10_000 });
  t.equal(asked, 2, 'on both routes, once');
});
