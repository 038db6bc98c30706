/** One bench in a process of its own: `child-main.js NAME [--full] [--hours=N] [--people=N]`, with an IPC channel to whoever started it. */
import type { BenchContext } from './bench.js';
import type { BenchMessage } from './messages.js';
import { busyBefore, watchSteal } from './quiet.js';
import { isBenchName, loadBench } from './registry.js';
import { toResult } from './result.js';
import { untilInterrupted } from '../shared/work.js';

const [name = '', ...flags] = process.argv.slice(2);
const full = flags.includes('--full');
const hours = numberOf('--hours=');
const people = numberOf('--people=');
const signal = untilInterrupted();

function numberOf(flag: string): number | undefined {
  const given = flags.find((each) => each.startsWith(flag));
  return given === undefined ? undefined : Number(given.slice(flag.length));
}

function tell(message: BenchMessage): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()));
}

async function run(): Promise<void> {
  if (!isBenchName(name)) throw new Error(`there is no bench ${name}`);
  const bench = await loadBench(name);
  const progress: BenchContext['progress'] = (doing, share) =>
    void tell({ type: 'progress', doing, ...(share === undefined ? {} : { share }) });
  progress('checking whether the machine is free');
  const busy = await busyBefore(signal);
  const stolen = await watchSteal();
  const startedAt = new Date();
  const began = performance.now();
  const findings = await bench.run({
    full,
    ...(hours === undefined ? {} : { hours }),
    ...(people === undefined ? {} : { people }),
    signal,
    progress,
  });
  const seconds = (performance.now() - began) / 1_000;
  const doubts = [busy, await stolen()].filter((doubt) => doubt !== undefined);
  const all = { ...findings, doubts: [...findings.doubts, ...doubts] };
  await tell({ type: 'result', result: toResult(bench, all, { full, startedAt, seconds }) });
}

try {
  await run();
} catch (error) {
  process.exitCode ||= 1;
  const text =
    error instanceof Error ? (signal.aborted ? error.message : (error.stack ?? error.message)) : String(error);
  await tell({ type: 'failed', message: text });
}
// Whatever still runs is a leak of the bench: it is reported and not waited for.
process.disconnect();
setTimeout(() => {
  console.error(`bench ${name}: still open: ${process.getActiveResourcesInfo().join(', ')}`);
  process.exit();
}, 5_000).unref();
