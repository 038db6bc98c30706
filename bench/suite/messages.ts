/** What a bench's process tells its parent. Types only. */
import type { BenchResult } from './bench.js';

export type BenchMessage =
  | { type: 'progress'; doing: string; share?: number }
  | { type: 'result'; result: BenchResult }
  | { type: 'failed'; message: string };
