/** The model's API is over its rate limit: all agent threads slow down together, and people see what they wait for. */
import t from 'tap';
import { fetchMetrics } from '../helpers/metrics.js';
import { text } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect } from '../helpers/ws-client.js';

const stack = await startStack({ config: { agents: { threads: 2 }, model: { allow: ['another'] } } });
t.teardown(() => stack.stop());
const { engine, model } = stack;
const CLIENTS = 8;

t.test(
  'after a 429 no thread asks until the API wants it; then one asks first, and all get their answers',
  async (t) => {
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(engine.wsUrl)));
    t.teardown(async () => void (await Promise.all(clients.map((client) => client.close()))));
    const [first, ...others] = clients;
    if (!first) throw new Error('no client');
    const arrivals: number[] = [];
    const begin = model.count;
    model.script(({ index }) => {
      arrivals.push(performance.now());
      return index === begin ? { status: 429, retryAfter: 6 } : text('here I am');
    });
    const refused = performance.now();
    first.say('go');
    const told = await first.waitFor('turn:waiting');
    t.match(told, { turn: 1, reason: 'model_rate' });
    t.ok((told.retryAfterMs ?? 0) > 1_000 && (told.retryAfterMs ?? 0) <= 6_000, `${told.retryAfterMs} ms`);
    for (const client of others) client.say('me too');
    for (const client of others) t.match(await client.waitFor('turn:waiting'), { turn: 1, reason: 'model_rate' });
    t.equal(model.count - begin, 1, 'nobody else has asked');
    t.match(await fetchMetrics(engine.url), /^fairlead_model_calls_waiting(?:\{[^}]*\})? 8$/m);
    for (const client of clients) t.match(await client.turnEnd(), { stopReason: 'end_turn' });
    t.equal(model.count - begin, CLIENTS + 1);
    t.ok((arrivals[1] ?? 0) - refused >= 5_900, 'not before its time');
    t.same(model.violations, []);
  },
);

t.test('a turn that waits for the API can be cancelled; a longer wait than is allowed is told at once', async (t) => {
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  model.enqueue({ status: 429, retryAfter: 60 });
  client.say('go');
  await client.waitFor('turn:waiting');
  client.send({ type: 'turn:cancel' });
  t.match(await client.turnEnd(), { stopReason: 'cancelled' });
  const other = await connect(engine.wsUrl, { model: 'another' });
  t.teardown(() => other.close());
  model.enqueue({ status: 429, retryAfter: 3_600 });
  const told = { stopReason: 'error', error: { code: 'ERR_MODEL', message: /rate limit/, retryAfterMs: Number } };
  t.match(await other.ask('go'), told, 'another model has a pause of its own');
  const asked = model.count;
  t.match(await other.ask('and now?'), told);
  t.equal(model.count, asked, 'the API was not asked in vain');
});
