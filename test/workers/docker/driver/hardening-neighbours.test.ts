import type { Container } from 'dockerode';
import t from 'tap';
import type { RunningSandbox } from '../../../../workers/docker/driver/driver.js';
import { docker } from '../../../helpers/docker.js';
import { within } from '../../../helpers/processes.js';
import { makeTinyImage } from '../../../helpers/tiny-image.js';
import { LIMITS, MIB, run, sh, startBox, ToolLines } from './hardening/box.js';
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

/**
 * Attack and rest in turn, so that what else is loud on this machine is loud for both. Nothing when the attacker ended meanwhile:
 * a bomb may hit its own sandbox's server.
 */
async function compare(
  tools: ToolLines,
  attacker: RunningSandbox,
): Promise<{ usual: number; during: number } | undefined> {
  const container = docker().getContainer(attacker.id);
  const usual: number[] = [];
  const during: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    during.push(...(await tools.times(CALLS)));
    if (!(await pause(container))) return undefined;
    usual.push(...(await tools.times(CALLS)));
    await container.unpause();
  }
  return { usual: median(usual), during: median(during) };
}

/** The kernel refuses to freeze a program that waits for the disk: then again. False when it has ended. */
async function pause(container: Container, tries = 10): Promise<boolean> {
  try {
    await container.pause();
    return true;
  } catch (error) {
    const { statusCode } = error as { statusCode?: number };
    if (statusCode === 409) return false;
    if (tries === 0 || statusCode !== 500) throw error;
    return pause(container, tries - 1);
  }
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
      const attack = name === 'a flood of output' ? await flood(box) : await loud(box, LOUD[name]);
      const times = await compare(tools, box);
      await attack.stop();
      await box.destroy();
      if (times) t.comment(`${name}: usually ${times.usual.toFixed(2)} ms, during it ${times.during.toFixed(2)} ms`);
      else t.comment(`${name}: its sandbox ended, ${(await box.exited).reason ?? 'without a reason'}`);
      const kept = times !== undefined && times.during <= Math.max(2 * times.usual, 5);
      if (!kept && round < ROUNDS) continue;
      t.ok(kept, name);
      break;
    }
  }
});
