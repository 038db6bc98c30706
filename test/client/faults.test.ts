/** 100 sessions through faulty networks to a real server. `FAULT_SEED=N` repeats one, `FAULT_SEEDS=N` takes more. */
import t from 'tap';
import { startEngine } from '../helpers/engine.js';
import { freePort } from '../helpers/processes.js';
import { planOf, talk, type Talk } from './faulty-person.js';
import { FAULT_KINDS } from './faulty-proxy.js';
import { durable, judge, readLog } from './judge.js';

t.setTimeout(900_000);

const AT_ONCE = 8;
const only = Number(process.env['FAULT_SEED'] ?? 0);
const count = Number(process.env['FAULT_SEEDS'] ?? 100);
const SEEDS = only > 0 ? [only] : Array.from({ length: count }, (_, index) => index + 1);

t.test('0 of all messages and events are lost, and 0 are repeated', async (t) => {
  const engine = await startEngine({
    // A port by number, so that a client finds the server that was killed again.
    config: {
      listen: { port: await freePort() },
      sandbox: { driver: 'process' },
      limits: { maxSocketsPerUser: 100 },
    },
    env: { DOCKER_HOST: '' },
    startTimeoutMs: 240_000,
  });
  t.teardown(() => engine.stop());
  const port = Number(new URL(engine.url).port);
  let restart: Promise<void> | undefined;
  let kills = 0;
  const kill = (): void => {
    restart ??= engine.restart({ signal: 'SIGKILL', samePort: true }).finally(() => {
      restart = undefined;
      kills++;
    });
    restart.catch((error: unknown) => t.fail(`the server did not come back: ${String(error)}`));
  };
  const talks: Talk[] = [];
  const seeds = SEEDS.values();
  const worker = async (): Promise<void> => {
    for (const seed of seeds) {
      try {
        talks.push(await talk(seed, { port, kill }));
      } catch (error) {
        t.fail(`seed ${seed}: ${JSON.stringify(planOf(seed))}`, {
          found: String((error as Error).cause),
          diagnostic: true,
        });
        t.comment(String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await restart;
  for (const each of talks) {
    t.same(judge(each, await readLog(engine.wsUrl, each.session)), [], `seed ${each.seed}`);
    const answer = await fetch(`${engine.url}/v1/sessions/${each.session}/history`);
    const history = await answer.text();
    for (const text of each.texts) t.equal(history.split(`"${text}"`).length - 1, 1, `${text} stands once`);
  }
  const fired = talks.flatMap((each) => each.fired);
  const byKind = FAULT_KINDS.map((kind) => `${kind} ${fired.filter((fault) => fault.kind === kind).length}`);
  const events = talks.reduce((sum, each) => sum + durable(each.events).length, 0);
  t.comment(
    `seeds ${SEEDS[0]} to ${SEEDS.at(-1)}: ${fired.length} faults (${byKind.join(', ')}), ${kills} kills of the server`,
  );
  t.comment(`${talks.reduce((sum, { texts }) => sum + texts.length, 0)} messages and ${events} events`);
  if (only === 0) t.ok(fired.length >= SEEDS.length, `${fired.length} faults happened`);
});
