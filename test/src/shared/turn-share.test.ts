import t from 'tap';
import { TurnShare, type Reader } from '../../../src/shared/turn-share.js';
import { deferred } from '../../helpers/processes.js';

/** Costs `ms` each time it is read, and is read for ever once it is added. */
class Burner implements Reader {
  readonly #ms: number;
  readonly #waits: { count: number; resolve: () => void }[] = [];
  #more = true;
  count = 0;
  turns = 0;

  constructor(ms: number, { once = false } = {}) {
    this.#ms = ms;
    this.#more = !once;
  }

  /** Resolves when it was read so often. */
  times(count: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.#waits.push({ count, resolve });
    return promise;
  }

  async readSome(): Promise<boolean> {
    const until = performance.now() + this.#ms;
    while (performance.now() < until);
    this.count++;
    for (const { count, resolve } of this.#waits) if (this.count >= count) resolve();
    return this.#more;
  }

  turned(): void {
    this.turns++;
  }
}

/** More than the credit of a reader is worth. */
const LOUD_TIMES = 60;

void t.test('a reader that costs little is read at once, also beside many that cost much', async (t) => {
  const share = new TurnShare();
  const loud = Array.from({ length: 4 }, () => new Burner(1));
  t.teardown(() => loud.forEach((reader) => share.remove(reader)));
  for (const reader of loud) share.add(reader);
  for (const reader of loud) await reader.times(LOUD_TIMES);
  for (let round = 1; round <= 5; round++) {
    await loud[0]!.times(LOUD_TIMES + round);
    const quiet = new Burner(0, { once: true });
    const reads = loud.reduce((sum, { count }) => sum + count, 0);
    const read = quiet.times(1);
    share.add(quiet);
    await read;
    const between = loud.reduce((sum, { count }) => sum + count, 0) - reads;
    t.ok(between <= 1, `${between} of the others were read before it`);
  }
});

void t.test('all loud readers together get a part of the thread, in turns', async (t) => {
  const share = new TurnShare();
  const loud = Array.from({ length: 5 }, () => new Burner(1));
  t.teardown(() => loud.forEach((reader) => share.remove(reader)));
  for (const reader of loud) share.add(reader);
  for (const reader of loud) await reader.times(LOUD_TIMES);
  const before = loud.map(({ count }) => count);
  const busy = performance.eventLoopUtilization();
  await loud[0]!.times(before[0]! + 30);
  const { utilization } = performance.eventLoopUtilization(busy);
  const read = loud.map(({ count }, index) => count - before[index]!);
  t.ok(utilization < 0.6, `they take ${Math.round(100 * utilization)} % of the thread`);
  t.ok(Math.max(...read) - Math.min(...read) <= 2, `each gets its turn: ${read.join(', ')}`);
});

void t.test('a reader is told when the event loop has turned, and not before', async (t) => {
  const share = new TurnShare();
  const reader = new Burner(0, { once: true });
  const read = reader.times(1);
  share.add(reader);
  await read;
  t.equal(reader.turns, 0);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(reader.turns, 1);
});
