/** Do the deltas of fast readers keep their pace while others of the same session do not read? */
import type { Load, LoadGroup } from '../load/load.js';
import { queuedBytes, rssBytes } from '../suite/proc.js';
import { newSessions, type Fairlead } from './servers.js';
import { CLEARED_MARK, DELTA_MARK, END_MARK } from './wire.js';
import { orInterrupted } from '../shared/work.js';
import { fetchMetrics } from '../../test/helpers/metrics.js';

/** Indexes in MARKS. */
const DELTA = 0;
const ENDS = 1;
const CLEARED = 2;
const MARKS = [DELTA_MARK, END_MARK, CLEARED_MARK];

export interface SlowOptions {
  load: Load;
  server: Fairlead;
  /** Fast readers of each of the two sessions; the second has as many slow readers, too. */
  readers: number;
  deltas: number;
  /** Characters of one delta: large, so that the kernel's buffers of a slow reader fill soon. */
  chunk: number;
  gapMs: number;
  turns: number;
  signal: AbortSignal;
  step: (doing: string) => void;
}

export interface Pace {
  /** Deltas a second of each fast reader. */
  rate: number;
  /** Share of the streamed deltas that arrived. */
  share: number;
  /** ms between two reads of a fast reader. */
  gapP50: number;
  gapP99: number;
}

export interface SlowResult {
  alone: Pace[];
  beside: Pace[];
  /** Slow readers that the server has cut by the end. */
  cut: number;
  slow: number;
  /** The most server RSS for each slow reader. */
  heldBytes: number;
  /** The most that the kernel holds for each of them: queued bytes with their overhead. */
  kernelBytes: number;
}

/** The two sessions take turns. */
export async function measureSlow(options: SlowOptions): Promise<SlowResult> {
  const { load, server, readers, turns, step } = options;
  const [alonePath = '', besidePath = ''] = await newSessions(server, 2);
  const fast = { url: server.engine.wsUrl, count: readers, marks: MARKS, gaps: true };
  const alone = await load.connect({ ...fast, paths: [alonePath] });
  const beside = await load.connect({ ...fast, paths: [besidePath] });
  const slow = await load.connect({ url: server.engine.wsUrl, paths: [besidePath], count: readers });
  const result: SlowResult = { alone: [], beside: [], cut: 0, slow: readers, heldBytes: 0, kernelBytes: 0 };
  for (const warmed of [alone, beside]) await turn(options, warmed);
  const rssBefore = await rssBytes(server.pid);
  const kernelBefore = await queuedBytes();
  await slow.reads(false);
  for (let done = 0; done < turns; done++) {
    step('deltas of fast readers alone');
    result.alone.push(await turn(options, alone));
    step('deltas of fast readers beside slow ones');
    result.beside.push(await turn(options, beside));
    result.heldBytes = Math.max(result.heldBytes, ((await rssBytes(server.pid)) - rssBefore) / readers);
    result.kernelBytes = Math.max(result.kernelBytes, ((await queuedBytes()) - kernelBefore) / readers);
  }
  result.cut = 3 * readers - (await connectionsOf(server));
  for (const group of [alone, beside, slow]) await group.drop();
  return result;
}

/** One turn; then the conversation is reset, so that the next model call is as short. */
async function turn(options: SlowOptions, group: LoadGroup): Promise<Pace> {
  const { deltas, chunk, gapMs, signal } = options;
  await group.gaps();
  const before = group.counts.marks[DELTA] ?? 0;
  const startedAt = performance.now();
  await group.send(JSON.stringify({ type: 'message', text: `stream ${deltas} ${chunk} ${gapMs}` }), 1);
  await orInterrupted(group.until(ENDS), signal);
  const ms = performance.now() - startedAt;
  const gaps = await group.gaps();
  const came = ((group.counts.marks[DELTA] ?? 0) - before) / group.size;
  await group.send(JSON.stringify({ type: 'history:reset' }), 1);
  await orInterrupted(group.until(CLEARED), signal);
  return { rate: (came / ms) * 1_000, share: came / deltas, gapP50: atShare(gaps, 0.5), gapP99: atShare(gaps, 0.99) };
}

/** The server says how many sockets there are: one that does not read does not see its end. */
async function connectionsOf({ engine }: Fairlead): Promise<number> {
  const text = await fetchMetrics(engine.url);
  return Number(/^fairlead_connections (\d+)/m.exec(text)?.[1]);
}

/** The ms below which that share of the counts lies. */
function atShare(counts: readonly number[], share: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  return counts.findIndex((count) => (seen += count) >= total * share);
}
