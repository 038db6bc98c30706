/**
 * How long from asking for a sandbox to having one, and from there to the first answered tool call?
 * Usage: node dist/bench/sandbox-lease.js [--warm 50] [--rounds 5] [--bare 10]; beside dockerd, `npm run image` done.
 * Against a container made by dockerode alone in the same run: created for the call, and waiting greeted for it.
 */
import { parseArgs } from 'node:util';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { BareContainers } from './bare-container.js';
import { machine, percentile } from './machine.js';
import { benchConfig, orInterrupted, p50p99, table, times, untilInterrupted } from './report.js';
import { Shelf, type HeldSandbox } from './shelf.js';

const { values } = parseArgs({
  options: {
    warm: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '5' },
    bare: { type: 'string', default: '10' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`Usage: node dist/bench/sandbox-lease.js [options]; beside dockerd

  --warm N    sandboxes on the shelf; so many are leased one after another, then all at once (50)
  --rounds N  how often (5)
  --bare N    containers of dockerode alone, in each round (10)`);
  process.exit(0);
}
const [warm, rounds, bare] = [values.warm, values.rounds, values.bare].map(Number) as [number, number, number];

interface Figures {
  leaseMs: number[];
  callMs: number[];
}
const none = (): Figures => ({ leaseMs: [], callMs: [] });

const stopping = untilInterrupted();
const pool = { min: warm, max: warm };
/** Its budget leaves no room to replace what is leased: the shelf alone is seen. The other one refills meanwhile. */
const still = await Shelf.open({ pool, budget: { containers: warm } });
const refilling = await Shelf.open({ pool });
const bares = new BareContainers(benchConfig(tmpdir(), {}), `bench-${randomUUID()}`);

async function leaseAndCall(shelf: Shelf, to: Figures, held: HeldSandbox[]): Promise<void> {
  const sandbox = await shelf.lease();
  held.push(sandbox);
  to.leaseMs.push(sandbox.leaseMs);
  to.callMs.push(await sandbox.call());
}

async function oneAtATime(shelf: Shelf, to: Figures): Promise<void> {
  await withFullShelf(shelf, async (held) => {
    for (let i = 0; i < warm; i++) {
      stopping.throwIfAborted();
      await leaseAndCall(shelf, to, held);
    }
  });
}

async function allAtOnce(shelf: Shelf, to: Figures): Promise<void> {
  await withFullShelf(shelf, async (held) => {
    await Promise.all(Array.from({ length: warm }, () => leaseAndCall(shelf, to, held)));
  });
}

async function withFullShelf(shelf: Shelf, work: (held: HeldSandbox[]) => Promise<void>): Promise<void> {
  const held: HeldSandbox[] = [];
  await shelf.full(warm, stopping);
  await orInterrupted(work(held), stopping);
  await Promise.all(held.map((sandbox) => shelf.release(sandbox)));
}

/** `leaseMs` is from create to greeted. */
async function bareOnes(to: Figures): Promise<void> {
  for (let i = 0; i < bare; i++) {
    stopping.throwIfAborted();
    const before = performance.now();
    const container = await bares.make();
    await container.greet();
    to.leaseMs.push(performance.now() - before);
    to.callMs.push(await container.call());
    await container.remove();
  }
}

const single = none();
const many = none();
const singleRefilling = none();
const manyRefilling = none();
const bareFigures = none();
try {
  for (let round = 0; round < rounds; round++) {
    // Both shelves are full before either is measured: what one starts would take the other's cores.
    await still.full(warm, stopping);
    await refilling.full(warm, stopping);
    await bareOnes(bareFigures);
    await oneAtATime(still, single);
    await still.full(warm, stopping);
    await allAtOnce(still, many);
    await still.full(warm, stopping);
    await oneAtATime(refilling, singleRefilling);
    await refilling.full(warm, stopping);
    await allAtOnce(refilling, manyRefilling);
  }
  console.log(machine());
  console.log(`${rounds} rounds, ${warm} on the shelf, ${single.leaseMs.length} leases a line; ms\n`);
  const bareCall = percentile(bareFigures.callMs, 50);
  const row = (name: string, { leaseMs, callMs }: Figures): string[] => [
    name,
    ...p50p99(leaseMs),
    ...p50p99(callMs),
    times(percentile(callMs, 50) / bareCall),
  ];
  console.log(
    table(
      ['', 'lease p50', 'p99', 'first call p50', 'p99', 'of the bare first call'],
      [
        row('dockerode alone: created, attached, greeted', bareFigures),
        row('1 at a time', single),
        row(`${warm} at once`, many),
        row('1 at a time, the shelf refills meanwhile', singleRefilling),
        row(`${warm} at once, the shelf refills meanwhile`, manyRefilling),
      ],
    ),
  );
} finally {
  await Promise.all([still.close(), refilling.close(), bares.removeAll()]);
}
