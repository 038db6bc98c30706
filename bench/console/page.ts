/** A page under measurement: its frames, its long tasks, how long its keys take, and what it holds. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, CDPSession, Page } from 'playwright-core';

export interface Recorded {
  /** ms between two painted frames. */
  gaps: number[];
  /** ms of tasks of more than 50 ms, in which nothing else happens. */
  tasks: number[];
  /** ms from a key to the end of the frame that shows it. */
  keys: number[];
}

const RECORDER = `
(() => {
  let gaps = [], tasks = [], keys = [], last;
  const tick = (now) => {
    if (last !== undefined) gaps.push(now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => tasks.push(duration))).observe({ type: 'longtask' });
  const painted = new MessageChannel();
  let asked = [];
  painted.port1.onmessage = () => {
    for (const at of asked.splice(0)) keys.push(performance.now() - at);
  };
  // What comes behind the frame's callbacks comes behind its paint.
  addEventListener('keydown', ({ timeStamp }) => {
    requestAnimationFrame(() => {
      asked.push(timeStamp);
      painted.port2.postMessage(0);
    });
  }, true);
  globalThis.recorder = {
    begin() { gaps = []; tasks = []; keys = []; last = undefined; },
    end: () => ({ gaps, tasks, keys }),
  };
})()`;

/** Entries of the browser's observers come a little later. */
const SETTLE_MS = 300;
const FOLLOW_MS = 10_000;
const LOST_MS = 60_000;

export class MeasuredPage {
  readonly page: Page;
  readonly debug: CDPSession;
  /** How often the page did not show what came last, although it was read at its end. */
  lost = 0;

  private constructor(page: Page, debug: CDPSession) {
    this.page = page;
    this.debug = debug;
  }

  static async open(
    browser: Browser,
    timeoutMs: number,
    viewport = { width: 1_280, height: 800 },
  ): Promise<MeasuredPage> {
    const context = await browser.newContext({ viewport });
    context.setDefaultTimeout(timeoutMs);
    const page = await context.newPage();
    return new MeasuredPage(page, await context.newCDPSession(page));
  }

  /** Opens the conversation. Resolves with the ms until its newest words are there. */
  async openConversation(url: string, session: string, newest: string): Promise<number> {
    const startedAt = performance.now();
    await this.page.goto(`${url}/#/s/${session}`);
    await this.untilShown(newest);
    const ms = performance.now() - startedAt;
    await this.page.evaluate(RECORDER);
    return ms;
  }

  /** Whoever reads at the end is taken along. A page that has lost the end is put back there, and that is counted. */
  async untilShown(words: string): Promise<void> {
    const shown = this.page.getByText(words).last();
    const follows = await shown.waitFor({ timeout: FOLLOW_MS }).then(
      () => true,
      () => false,
    );
    if (follows) return;
    this.lost++;
    // Evaluated by the debugger: the page's policy lets nothing evaluate in it.
    const toEnd = `(() => {
      const log = document.querySelector('[role=log]');
      if (log) log.scrollTop = log.scrollHeight;
      return log?.textContent.includes(${JSON.stringify(words)}) ?? false;
    })()`;
    for (const until = performance.now() + LOST_MS; !(await this.page.evaluate<boolean>(toEnd)); await delay(50)) {
      if (performance.now() > until) throw new Error(`the page does not show: ${words}`);
    }
  }

  /** What the page does while `work` runs. */
  async record(work: () => Promise<unknown>): Promise<Recorded> {
    await delay(SETTLE_MS);
    await this.page.evaluate('recorder.begin()');
    await work();
    await delay(SETTLE_MS);
    return this.page.evaluate<Recorded>('recorder.end()');
  }

  /** A wheel that turns up for `ms`. Resolves with how many pixels the conversation has moved. */
  async scrollUp(ms: number, signal: AbortSignal): Promise<number> {
    const log = this.page.getByRole('log');
    await log.hover();
    const top = (): Promise<number> =>
      log.evaluate((element) => (element as unknown as { scrollTop: number }).scrollTop);
    const before = await top();
    for (const until = performance.now() + ms; performance.now() < until;) {
      signal.throwIfAborted();
      await this.page.mouse.wheel(0, -400);
    }
    return before - (await top());
  }

  /** Writes into the message's field, a key each `everyMs`. */
  async type(keys: number, everyMs: number): Promise<void> {
    await this.page.getByLabel('Message').pressSequentially('typing '.repeat(Math.ceil(keys / 7)).slice(0, keys), {
      delay: everyMs,
    });
  }

  /** After a collection of garbage. */
  async held(): Promise<{ heapBytes: number; elements: number }> {
    await this.debug.send('HeapProfiler.collectGarbage');
    await this.debug.send('HeapProfiler.collectGarbage');
    const { usedSize } = await this.debug.send('Runtime.getHeapUsage');
    const elements = await this.page.evaluate<number>('document.querySelectorAll("*").length');
    return { heapBytes: usedSize, elements };
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
