/** `fairlead/client` in a page of a real browser: a network that goes away, a machine that sleeps, a tab that is frozen. */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { openPage, startWorld } from '../console/browser.js';
import { startCutter, type Cutter } from '../console/cutter.js';
import { text } from '../helpers/model-server.js';
import { deferred, type Deferred } from '../helpers/processes.js';
import { connect } from '../helpers/ws-client.js';
import { judge, readLog, type Seen } from './judge.js';

t.setTimeout(1_200_000);

/** dist/src/client, seen from dist/test/client. */
const CLIENT = fileURLToPath(new URL('../../src/client/', import.meta.url));
/** Without `url`: the page is the server's own. */
const PROGRAM = `
import { Fairlead } from './index.js';
globalThis.begin = (token, { backoffMs, ...options }) => {
  const session = new Fairlead({ token }).open({ ...options, backoffMs: () => backoffMs });
  const seen = { texts: [], turns: [], events: [] };
  session.on((event) => seen.events.push(event));
  Object.assign(globalThis, {
    session,
    seen,
    count: (type) => seen.events.filter((event) => event.type === type).length,
    say: (text) => {
      seen.texts.push(text);
      void session.send(text).then(({ turn }) => seen.turns.push(turn));
    },
  });
};`;

interface Options {
  backoffMs: number;
  silenceMs?: number;
  answerMs?: number;
}

// Chromium takes every name below localhost for this machine.
const { engine, model, browser } = await startWorld(t, { hosts: ['app.localhost'] });
const token = await engine.token();
const { outputFiles } = await build({
  stdin: { contents: PROGRAM, resolveDir: CLIENT },
  bundle: true,
  write: false,
  format: 'iife',
  platform: 'browser',
});

interface Visit {
  page: Page;
  cutter: Cutter;
}

async function visit(t: Test, options: Options, prepare?: (page: Page) => Promise<unknown>): Promise<Visit> {
  const cutter = await startCutter(t, () => engine.url);
  const url = `http://app.localhost:${cutter.port}`;
  const { page, context } = await openPage(browser, url);
  t.teardown(() => context.close());
  await prepare?.(page);
  await page.goto(`${url}/readyz`);
  await page.evaluate(outputFiles[0]!.text);
  await page.evaluate(`begin(${JSON.stringify(token)}, ${JSON.stringify(options)})`);
  await until(page, "session.state === 'live'");
  return { page, cutter };
}

const until = (page: Page, expression: string): Promise<unknown> => page.waitForFunction(expression);

const say = (page: Page, said: string): Promise<unknown> => page.evaluate(`say(${JSON.stringify(said)})`);

/** Begins a turn whose answer is half there when this resolves. */
async function beginTurn(page: Page): Promise<Deferred<undefined>> {
  const rest = deferred<undefined>();
  async function* halves(): AsyncGenerator<string> {
    yield 'The first half, ';
    await rest.promise;
    yield 'and the second.';
  }
  model.enqueue({ blocks: [{ text: halves() }] });
  await say(page, 'slowly');
  await until(page, "count('text:delta') > 0");
  return rest;
}

const sessionOf = (page: Page): Promise<string> => page.evaluate<string>('session.id');

/** Resolves when the turn is over at the server, whoever looks. */
async function untilEnd(session: string): Promise<void> {
  const client = await connect(engine.wsUrl, { token, session, after: 0 });
  await client.waitFor(({ type }) => type === 'turn:end', { from: 0, timeoutMs: 240_000 });
  await client.close();
}

async function problems(page: Page): Promise<string[]> {
  const seen = await page.evaluate<Seen>('seen');
  return judge(seen, await readLog(engine.wsUrl, await sessionOf(page), token));
}

t.test('a page whose network is back connects at once, sends what was said, and has missed nothing', async (t) => {
  const { page, cutter } = await visit(t, { backoffMs: 3_600_000 });
  const rest = await beginTurn(page);
  await page.context().setOffline(true);
  await until(page, '!navigator.onLine');
  cutter.away = true;
  cutter.cut();
  await until(page, "session.state === 'offline'");
  model.enqueue(text('Heard.'));
  await say(page, 'said without a network');
  t.equal(await page.evaluate('session.busy'), true);
  rest.resolve(undefined);
  await untilEnd(await sessionOf(page));
  cutter.away = false;
  t.equal(await page.evaluate('session.state'), 'offline', 'its next attempt is an hour away');
  await page.context().setOffline(false);
  await until(page, "count('turn:end') === 2");
  t.same(await problems(page), []);
});

/** Each resolves with what wakes it. */
const SLEEPS: Record<string, (page: Page) => Promise<() => Promise<void>>> = {
  'a machine that slept': async () => {
    const debug = await browser.newBrowserCDPSession();
    const { processInfo } = await debug.send('SystemInfo.getProcessInfo');
    const pids = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    return () => {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
      return debug.detach();
    };
  },
  'a tab that was frozen': async (page) => {
    const debug = await page.context().newCDPSession(page);
    await debug.send('Page.setWebLifecycleState', { state: 'frozen' });
    return async () => {
      await debug.send('Page.setWebLifecycleState', { state: 'active' });
      await debug.detach();
    };
  },
};

for (const [name, sleep] of Object.entries(SLEEPS)) {
  t.test(`${name} finds its connection dead without being told, and comes back to the whole answer`, async (t) => {
    const { page, cutter } = await visit(t, { backoffMs: 50, silenceMs: 1_000, answerMs: 3_000 });
    const rest = await beginTurn(page);
    const session = await sessionOf(page);
    const wake = await sleep(page);
    try {
      t.ok(cutter.hush() > 0, 'its connections are forgotten on the way');
      rest.resolve(undefined);
      await untilEnd(session);
    } finally {
      await wake();
    }
    await until(page, "count('turn:end') === 1");
    t.ok(await page.evaluate('seen.events.some(({ why }) => why === "no answer to a ping")'));
    model.enqueue(text('Good morning.'));
    await say(page, 'awake');
    await until(page, "count('turn:end') === 2");
    t.same(await problems(page), []);
  });
}

t.test('a night asleep without a connection is no reason to give up', async (t) => {
  // Its time jumps; timers that are due fire once, late.
  const { page, cutter } = await visit(t, { backoffMs: 500 }, (page) => page.clock.install());
  cutter.away = true;
  cutter.cut();
  await until(page, "session.state === 'reconnecting'");
  await page.clock.fastForward('08:00:00');
  const tries = await page.evaluate<number>("count('connection:reconnecting')");
  await until(page, `session.state === 'closed' || count('connection:reconnecting') > ${tries + 1}`);
  t.equal(await page.evaluate('session.state'), 'reconnecting', 'the network needs a moment too');
  cutter.away = false;
  model.enqueue(text('Good morning.'));
  await say(page, 'awake');
  await until(page, "count('turn:end') === 1");
  t.same(await problems(page), []);
});

t.test('a dead connection is found, however often somebody looks', async (t) => {
  const { page, cutter } = await visit(t, { backoffMs: 50, silenceMs: 3_600_000, answerMs: 1_000 });
  cutter.hush();
  await page.evaluate("void setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 50)");
  await until(page, "count('connection:live') > 1");
  model.enqueue(text('Here.'));
  await say(page, 'still there?');
  await until(page, "count('turn:end') === 1");
  t.same(await problems(page), []);
});
