import { readFile } from 'node:fs/promises';
import type { Container } from 'dockerode';
import t from 'tap';
import type { RunningSandbox } from '../../../../workers/docker/driver/driver.js';
import { docker } from '../../../helpers/docker.js';
import { within } from '../../../helpers/processes.js';
import { makeTinyImage } from '../../../helpers/tiny-image.js';
import { LIMITS, MIB, remove, run, sh, startBox, ToolLines } from './hardening/box.js';
import { flood, loud, LOUD, watchMemory } from './hardening/loud.js';

/** 30 s alone; other tests run beside it, and their noise is what the last of these is repeated for. */
t.setTimeout(240_000);

async function pids(box: RunningSandbox): Promise<number> {
  const stats = await docker().getContainer(box.id).stats({ stream: false, 'one-shot': true });
  return stats.pids_stats?.current ?? 0;
}

t.test('a sandbox whose server takes all memory is out of memory, and nothing else is', async (t) => {
  const image = await makeTinyImage('exec busybox tail /dev/zero');
  t.teardown(() => image.remove());
  const [box, neighbour] = await Promise.all([startBox(t, image.tag), startBox(t)]);
  t.match(await box.exited, { code: 137, reason: /out of memory: the sandbox has 200 MB .*sandbox\.memoryMb/ });
  const bomb = 'const all = []; for (;;) all.push(Buffer.alloc(1_048_576, 1));';
  const tools = await ToolLines.open(neighbour);
  t.match(await run(neighbour, ['node', '-e', bomb]), { code: 137 }, 'a program beside the server is killed alone');
  t.notOk((await tools.call('list_files', { path: '.' })).isError);
});

t.test('a fork bomb stops at the limit, and the server in the same sandbox still answers', async (t) => {
  const box = await startBox(t);
  const tools = await ToolLines.open(box);
  const bomb = await loud(box, LOUD['a fork bomb']);
  t.teardown(() => bomb.stop());
  t.match(await within(bomb.complaint, 30_000, () => 'nothing stops it'), /fork/);
  t.ok((await pids(box)) <= LIMITS.pids);
  t.notOk((await tools.call('list_files', { path: '.' })).isError);
});

t.test('output without end costs its reader little, read or not, and is cut off at any time', async (t) => {
  const box = await startBox(t);
  const unread = watchMemory();
  const program = await box.exec(['sh', '-c', 'yes | head -c 10737418240'], new AbortController().signal);
  // Not read at all: what has come by now is what will ever come. The sandbox's own clock says that it had its time.
  await sh(box, 'sleep 1');
  t.ok(program.stdout.readableLength < MIB, `${program.stdout.readableLength} bytes wait`);
  t.ok(unread.stop() < 64 * MIB);

  const read = watchMemory();
  const output = await flood(box);
  await output.until(32 * MIB);
  const began = performance.now();
  await output.stop();
  const cutMs = Math.round(performance.now() - began);
  const grown = read.stop();
  t.comment(`32 MiB through the relay: ${Math.round(grown / MIB)} MiB of memory; cut off in ${cutMs} ms`);
  t.ok(grown < 80 * MIB);
  program.stdin.destroy();
  await box.destroy();
});

const ROUNDS = 5;
const TURNS = 6;
const CALLS = 8;
/** Of one step of an attack, on a full machine. */
const STEP_MS = 60_000;
/** Of the processors, while the attacker rests. With less, what waits for one is measured, whoever it is. */
const ENOUGH_IDLE = 0.3;

interface Times {
  /** In ms, while the attacker rests. */
  usual: number;
  during: number;
  /** The part of the processors that was idle while the attacker rested. */
  idle: number;
}

/** Of all processors since the boot, in ticks. */
async function processorTime(): Promise<{ idle: number; all: number }> {
  const [line = ''] = (await readFile('/proc/stat', 'latin1')).split('\n');
  const ticks = line.split(/ +/).slice(1, 9).map(Number);
  return { idle: (ticks[3] ?? 0) + (ticks[4] ?? 0), all: ticks.reduce((sum, value) => sum + value, 0) };
}

/**
 * Attack and rest in turn, so that what else is loud on this machine is loud for both. Nothing when the attacker ended meanwhile:
 * a bomb may hit its own sandbox's server.
 */
async function compare(tools: ToolLines, attacker: RunningSandbox): Promise<Times | undefined> {
  const container = docker().getContainer(attacker.id);
  const usual: number[] = [];
  const during: number[] = [];
  const rest = { idle: 0, all: 0 };
  for (let turn = 0; turn < TURNS; turn++) {
    during.push(...(await tools.times(CALLS)));
    if (!(await pause(container))) return undefined;
    const before = await processorTime();
    usual.push(...(await tools.times(CALLS)));
    const after = await processorTime();
    rest.idle += after.idle - before.idle;
    rest.all += after.all - before.all;
    await step(container.unpause(), 'unpausing it');
  }
  return { usual: median(usual), during: median(during), idle: rest.idle / Math.max(1, rest.all) };
}

/** The kernel refuses to freeze a program that waits for the disk: then again. False when it has ended. */
async function pause(container: Container, tries = 10): Promise<boolean> {
  try {
    await step(container.pause(), 'pausing it');
    return true;
  } catch (error) {
    const { statusCode } = error as { statusCode?: number };
    if (statusCode === 409) return false;
    if (tries === 0 || statusCode !== 500) throw error;
    await step(container.unpause(), 'thawing it').catch(() => undefined); // Docker says that it is not paused; what is half frozen thaws
    return pause(container, tries - 1);
  }
}

function step<T>(doing: Promise<T>, what: string): Promise<T> {
  return within(doing, STEP_MS, () => `${what} does not end`);
}

function describe({ usual, during, idle }: Times): string {
  return `usually ${usual.toFixed(2)} ms, during it ${during.toFixed(2)} ms; ${Math.round(idle * 100)} % idle beside it`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

t.test('a neighbour’s tools take at most twice their usual time under each attack', async (t) => {
  const tools = await ToolLines.open(await startBox(t));
  await tools.times(20);
  for (const name of [...Object.keys(LOUD), 'a flood of output'] as (keyof typeof LOUD | 'a flood of output')[]) {
    for (let round = 1; ; round++) {
      const box = await startBox(t);
      const starting = name === 'a flood of output' ? flood(box) : loud(box, LOUD[name]);
      const attack = await step(starting, `starting ${name}`);
      const times = await compare(tools, box);
      await step(attack.stop(), `stopping ${name}`);
      await remove(box);
      const { reason } = await step(box.exited, `the end of the sandbox of ${name}`);
      t.comment(times ? `${name}: ${describe(times)}` : `${name}: its sandbox ended, ${reason ?? 'without a reason'}`);
      const kept = times !== undefined && times.during <= Math.max(2 * times.usual, 5);
      if (!kept && round < ROUNDS) continue;
      // Where others leave no processor idle, they cost the neighbour's calls their time, and it says nothing of the attack.
      const tooBusy = !kept && times !== undefined && times.idle < ENOUGH_IDLE;
      t.ok(kept || tooBusy, `${name}${tooBusy ? ': the machine is too busy to be measured on' : ''}`);
      break;
    }
  }
});
