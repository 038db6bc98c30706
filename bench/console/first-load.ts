/** A first visit on a phone with a slow network, as Lighthouse simulates it: https://web.dev/articles/vitals. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { MeasuredPage } from './page.js';

export interface FirstLoad {
  bytes: number;
  requests: number;
  /** ms until the first and the largest content is painted. */
  fcp: number;
  lcp: number;
  /** ms of long tasks beyond 50 ms each, after the first content. */
  blocking: number;
  /** How much of what was shown has moved by itself. */
  shift: number;
}

/** Lighthouse's "slow 4G" and its phone. */
export const PHONE = { latencyMs: 150, downKbit: 1_638, upKbit: 750, slowdown: 4 };
const QUIET_MS = 2_000;

const WATCH = `
(() => {
  const seen = { fcp: 0, lcp: 0, shift: 0, tasks: [] };
  globalThis.firstLoad = seen;
  const watch = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
  watch('paint', ({ name, startTime }) => { if (name === 'first-contentful-paint') seen.fcp = startTime; });
  watch('largest-contentful-paint', ({ startTime }) => { seen.lcp = startTime; });
  watch('layout-shift', ({ value, hadRecentInput }) => { if (!hadRecentInput) seen.shift += value; });
  watch('longtask', ({ startTime, duration }) => seen.tasks.push({ startTime, duration }));
})()`;

interface Seen {
  fcp: number;
  lcp: number;
  shift: number;
  tasks: { startTime: number; duration: number }[];
}

export async function visitFirst(browser: Browser, url: string, timeoutMs: number): Promise<FirstLoad> {
  const measured = await MeasuredPage.open(browser, timeoutMs, { width: 412, height: 823 });
  const { page, debug } = measured;
  try {
    const sizes: number[] = [];
    await debug.send('Network.enable');
    debug.on('Network.loadingFinished', ({ encodedDataLength }) => sizes.push(encodedDataLength));
    const { latencyMs, downKbit, upKbit, slowdown } = PHONE;
    await debug.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: latencyMs,
      downloadThroughput: (downKbit * 1_000) / 8,
      uploadThroughput: (upKbit * 1_000) / 8,
    });
    await debug.send('Emulation.setCPUThrottlingRate', { rate: slowdown });
    await page.addInitScript(WATCH);
    await page.goto(url);
    await page.getByRole('heading', { name: 'New conversation' }).waitFor();
    await delay(QUIET_MS);
    const { fcp, lcp, shift, tasks } = await page.evaluate<Seen>('firstLoad');
    const late = tasks.filter(({ startTime, duration }) => startTime + duration > fcp);
    const blocking = late.reduce((sum, { duration }) => sum + Math.max(0, duration - 50), 0);
    return { bytes: sizes.reduce((sum, size) => sum + size, 0), requests: sizes.length, fcp, lcp, blocking, shift };
  } finally {
    await measured.close();
  }
}
