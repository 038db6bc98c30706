/** Ids of the ratios that results from before ids existed have: those results hold names alone. Pure. */
import type { Ratio } from '../suite/bench.js';

/** A name of the bench, and its id; `$1` stands for what the first group matched. */
const OLD: Record<string, readonly (readonly [name: RegExp, id: string])[]> = {
  http: [
    [/^(.+), requests\/s: Fairlead of (.+)$/, 'rate/$1/$2'],
    [/^(.+), requests a second of CPU: Fairlead of (.+)$/, 'cpu/$1/$2'],
    [/^(.+): p50 above (.+)$/, 'added/$1/$2'],
  ],
  sockets: [
    [/^frames in and out, (\d+) under way: /, 'frames-$1'],
    [/^frames for a CPU second, (\d+) under way: /, 'frames-cpu-$1'],
    [/^deltas to all, /, 'deltas'],
    [/^deltas to all: /, 'deltas-of-bare'],
    [/^an idle session: server RSS$/, 'idle-rss'],
    [/^attaches a second: /, 'attaches'],
    [/^deltas of a fast reader: /, 'fast-reader'],
  ],
  turns: [
    [/^first token (p50|p95), \d+ people: /, 'first-token-$1'],
    [/^CPU of a turn, /, 'turn-cpu'],
    [/^people at the knee$/, 'knee-people'],
    [/^turns at the knee$/, 'knee-turns'],
    [/^first token p95 at the knee: /, 'knee-first-token'],
    [/^main thread’s loop delay p99 at the knee$/, 'knee-loop-delay'],
    [/^acceptance: container acquisition p95$/, 'acceptance-lease'],
    [/^acceptance: errors$/, 'acceptance-errors'],
    [/^acceptance: turn p95$/, 'acceptance-turn'],
  ],
  pool: [
    [/^lease from a warm shelf: (p50|p99)$/, 'lease-$1'],
    [/^lease from a warm shelf, \d+ at once: p99$/, 'lease-at-once'],
    [/^asked to first answer of a tool: /, 'first-answer'],
    [/^containers a second: /, 'refill-rate'],
    [/^(\d+) come at once, (\d+) on the shelf: (half|all) served, /, 'burst-$1-$2-$3'],
    [/^tool call: /, 'tool-call'],
  ],
  memory: [
    [/^attached and idle: server RSS a session$/, 'attached-rss'],
    [/^attached and idle: Fairlead of /, 'attached-of-bare'],
    [/^in a turn: /, 'turn-heap'],
    [/^waiting for approval: /, 'waiting-heap'],
    [/^hibernated: /, 'hibernated-heap'],
    [/^attached and idle, embedded store: /, 'attached-embedded-rss'],
    [/^history of \d+ turns: /, 'history-bytes'],
    [/^in a turn on \d+ turns: /, 'deep-turn-heap'],
  ],
  history: [
    [/^append at .* of one at .*: Fairlead$/, 'append-growth'],
    [/^append at .* of one at .*: whole JSON, /, 'append-growth-whole-json'],
    [/^bytes at .*: Fairlead of list of (JSON|gzip) /, 'bytes-$1-list'],
    [/^bytes at .*: Fairlead of whole (JSON|gzip), /, 'bytes-whole-$1'],
    [/^append at .*: Fairlead of list of (JSON|gzip) /, 'append-$1-list'],
    [/^append at .*: Fairlead of whole (JSON|gzip), /, 'append-whole-$1'],
    [/^processor time of an append at .*: Fairlead of list of (JSON|gzip) /, 'cpu-$1-list'],
    [/^processor time of an append at .*: Fairlead of whole (JSON|gzip), /, 'cpu-whole-$1'],
    [/^load at .*: Fairlead of list of (JSON|gzip) /, 'load-$1-list'],
    [/^load at .*: Fairlead of whole (JSON|gzip), /, 'load-whole-$1'],
  ],
  threads: [
    [/^short turns a second: (\d+) agent threads of /, 'scale-short-$1'],
    [/^long answers a second: (\d+) agent threads of /, 'scale-long-$1'],
    [/^agent threads busy with short turns /, 'main-capacity'],
    [/^event-loop delay of the main thread, /, 'main-loop-delay'],
    [/^neighbours’ first token p99: beside 100 MB /, 'first-token-output'],
    [/^neighbours’ first token p99: beside that output /, 'first-token-bare'],
    [/^neighbours’ first token p99: beside 1 MB frames without end /, 'first-token-frames'],
    [/^neighbours’ first token p99: beside 1 MB frames of /, 'first-token-keys'],
    [/^neighbours’ first token p99: beside 10,000 deltas /, 'first-token-deltas'],
    [/^neighbours’ pong p99: beside 100 MB /, 'pong-output'],
    [/^neighbours’ pong p99: beside that output /, 'pong-bare'],
    [/^neighbours’ pong p99: beside 1 MB frames without end /, 'pong-frames'],
    [/^neighbours’ pong p99: beside 1 MB frames of /, 'pong-keys'],
    [/^neighbours’ pong p99: beside 10,000 deltas /, 'pong-deltas'],
  ],
  soak: [
    [/^RSS of the server under load$/, 'rss-growth'],
    [/^live heap, all threads under load$/, 'heap-growth'],
    [/^Redis under load$/, 'redis-growth'],
    [/^live heap at rest, /, 'heap-per-session'],
    [/^keys in Redis /, 'keys-left'],
  ],
};

/** The ratio's own id, that of its old name, or the name where neither is known. */
export function idOf(bench: string, { id, name }: Partial<Pick<Ratio, 'id'>> & Pick<Ratio, 'name'>): string {
  if (id !== undefined) return id;
  const found = OLD[bench]?.find(([old]) => old.test(name));
  const match = found && found[0].exec(name);
  return match && found ? found[1].replace(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '') : name;
}
