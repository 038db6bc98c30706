/** What the process of a bench tells the one that started it. Types only. */
import type { BenchResult } from './bench.js';

export type BenchMessage =
  | { type: 'progress'; doing: string; share?: number }
  | { type: 'result'; result: BenchResult }
  | { type: 'failed'; message: string };
