/** What tokens and tool calls cost, as the configuration says for a moment. Pure; every thread. */
import type { PriceTable } from './config-budgets.js';
import { nameGlob } from './name-globs.js';
import type { Usage } from './protocol.js';

/**
 * Money is counted in billionths of the currency, in whole numbers: sums have no rounding error, and a thousandth per million
 * tokens is one for each token.
 */
export const NANOS = 1e9;
const NANOS_PER_TOKEN = NANOS / 1e6;

/** Nanos for each token. */
export type ModelPrice = Readonly<Record<keyof Usage, number>>;

export interface Prices {
  readonly currency: string;
  /** Undefined: the table has none for this model at this time, ms since the epoch. */
  ofModel(model: string, at: number): ModelPrice | undefined;
  /** Nanos of one call; 0: it is free. */
  ofTool(server: string, tool: string, at: number): number;
}

export function createPrices({ currency, models, tools }: PriceTable): Prices {
  const byModel = groupedBy(models, ({ model }) => model).map((versions) => ({
    matches: nameGlob(versions[0]!.model),
    versions: newestFirst(versions).map(({ start, entry: { input, output, cacheWrite, cacheRead } }) => ({
      start,
      price: {
        inputTokens: input * NANOS_PER_TOKEN,
        outputTokens: output * NANOS_PER_TOKEN,
        cacheWriteTokens: (cacheWrite ?? input) * NANOS_PER_TOKEN,
        cacheReadTokens: (cacheRead ?? input) * NANOS_PER_TOKEN,
      } satisfies ModelPrice,
    })),
  }));
  const byTool = groupedBy(tools, ({ server, tool }) => JSON.stringify([server, tool])).map((versions) => ({
    server: nameGlob(versions[0]!.server),
    tool: nameGlob(versions[0]!.tool),
    versions: newestFirst(versions),
  }));
  return {
    currency,
    ofModel(model, at) {
      const found = byModel.find(
        ({ matches, versions }) => matches(model) && versions.some(({ start }) => start <= at),
      );
      return found?.versions.find(({ start }) => start <= at)?.price;
    },
    ofTool(server, tool, at) {
      const found = byTool.find(
        (each) => each.server(server) && each.tool(tool) && each.versions.some(({ start }) => start <= at),
      );
      const amount = found?.versions.find(({ start }) => start <= at)?.entry.amount ?? 0;
      return Math.ceil(amount * NANOS);
    },
  };
}

/** Nanos, rounded up: what is used is never free of charge. */
export function costOf(usage: Readonly<Usage>, price: ModelPrice): number {
  const fields = Object.keys(price) as (keyof Usage)[];
  // Binary fractions: 0.1 × 3 is a little more than 0.3, which must not become a whole nano.
  return Math.ceil(fields.reduce((sum, field) => sum + usage[field] * price[field], 0) - 1e-6);
}

export function tokensOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: Readonly<Usage>): number {
  return inputTokens + outputTokens + cacheReadTokens + cacheWriteTokens;
}

/** For clients: 1.25, of 1_250_000_000 nanos. */
export function toAmount(nanos: number): number {
  return nanos / NANOS;
}

export function toNanos(amount: number): number {
  return Math.round(amount * NANOS);
}

interface Version<T> {
  /** ms since the epoch. */
  start: number;
  entry: T;
}

function newestFirst<T extends { from?: string | undefined }>(entries: readonly T[]): Version<T>[] {
  const versions = entries.map((entry) => ({ start: entry.from ? Date.parse(entry.from) : -Infinity, entry }));
  return versions.toSorted((a, b) => (a.start < b.start ? 1 : a.start > b.start ? -1 : 0));
}

/** In the order of the first of each group. */
function groupedBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups.values()];
}
