/** Attacks that a user's sandbox can make on its neighbours. Each is repeated until it is told to stop. Runs in the bench. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from '../../test/helpers/engine.js';
import { printAsServer, serverPid } from '../../test/helpers/inside.js';
import { Person } from './person.js';

/** A user of their own. */
export const ATTACKER = 'attacker';
/** Between two tries: an attacker who is cut off waits for a new sandbox anyhow. */
const PAUSE_MS = 50;
const SESSIONS_AT_ONCE = 10;

export interface Attack {
  id: string;
  name: string;
  /** Once; resolves when it is over. */
  strike: (attacker: Person, engine: Engine, until: AbortSignal) => Promise<void>;
}

function flood(id: string, name: string, line: string): Attack {
  return { id, name, strike: (attacker, _engine, until) => printFor(attacker, `exec yes '${line}'`, until) };
}

export const ATTACKS: Attack[] = [
  flood('results', 'results for nobody', '{"jsonrpc":"2.0","id":"g0-999","result":{}}'),
  flood(
    'progress',
    'progress of nothing',
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
  ),
  flood('notifications', 'unknown notifications', '{"jsonrpc":"2.0","method":"notifications/boo"}'),
  flood('garbage', 'lines that are no messages', 'log line'),
  {
    id: 'long-line',
    name: 'a line of 100 MB',
    strike: (attacker, _engine, until) => printFor(attacker, `head -c 100000000 /dev/zero | tr '\\0' x; echo`, until),
  },
  { id: 'stopped', name: 'a stopped server', strike: stopServer },
  {
    id: 'forks',
    name: 'all processes taken',
    strike: command('for i in $(seq 5000); do (sleep 2 &) 2>/dev/null; done; sleep 1'),
  },
  { id: 'memory', name: 'all memory taken', strike: command('tail /dev/zero') },
  {
    id: 'disk',
    name: 'a full disk',
    strike: command('dd if=/dev/zero of=/workspace/big bs=1M 2>/dev/null; rm -f /workspace/big'),
  },
  { id: 'sessions', name: 'sessions that lease and delete', strike: leaseAndDelete },
];

/** Strikes again and again until the signal aborts. */
export async function attack({ strike }: Attack, engine: Engine, until: AbortSignal): Promise<void> {
  const attacker = await Person.open(engine, ATTACKER);
  await attacker.run('true');
  while (!until.aborted) {
    await strike(attacker, engine, until);
    await delay(PAUSE_MS);
  }
  await attacker.delete();
}

function command(line: string): Attack['strike'] {
  return async (attacker) => void (await attacker.run(line));
}

async function printFor(attacker: Person, line: string, until: AbortSignal): Promise<void> {
  const container = await attacker.container();
  if (container === undefined) return void (await attacker.run('true')); // its sandbox was replaced
  const printing = await printAsServer(container, line).catch(() => undefined); // it has gone meanwhile
  if (!printing) return undefined;
  until.addEventListener('abort', printing.stop, { once: true });
  await printing.ended;
  until.removeEventListener('abort', printing.stop);
  return undefined;
}

async function stopServer(attacker: Person): Promise<void> {
  const call = attacker.run('sleep 5');
  const container = await attacker.container();
  if (container !== undefined) {
    await serverPid(container).then(
      (pid) => process.kill(pid, 'SIGSTOP'),
      () => undefined, // it has gone meanwhile
    );
  }
  await call;
}

async function leaseAndDelete(_attacker: Person, engine: Engine): Promise<void> {
  await Promise.all(
    Array.from({ length: SESSIONS_AT_ONCE }, async () => {
      const one = await Person.open(engine, ATTACKER);
      await one.run('true');
      await one.delete();
    }),
  );
}
