/** A browser beside a real engine with the stand-in model, as a person uses the console. Runs in tests. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startModelServer, type ModelServer } from '../helpers/model-server.js';
import { findProgram } from '../helpers/programs.js';

/** Whole processes and a browser, on a machine that may be busy. */
export const WAIT_MS = 240_000;
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

export interface World {
  engine: Engine;
  model: ModelServer;
  browser: Browser;
}

/** Below those that the system gives to connections: while a server is away for a moment, none of them takes its port. */
async function ownPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Tools run as child processes: what is looked at is the page. */
export async function startWorld(
  t: Test,
  listen: Record<string, unknown> = {},
  more: Record<string, unknown> = {},
): Promise<World> {
  const model = await startModelServer();
  t.teardown(() => model.close());
  const engine = await startEngine({
    config: {
      auth: {},
      sandbox: { driver: 'process' },
      agents: { threads: 1 },
      listen: { port: await ownPort(), ...listen },
      ...more,
    },
    env: { DOCKER_HOST: '', ANTHROPIC_API_KEY: 'sk-test-key', ANTHROPIC_BASE_URL: model.url },
    startTimeoutMs: WAIT_MS,
  });
  t.teardown(() => engine.stop());
  return { engine, model, browser: await startBrowser(t) };
}

export async function startBrowser(t: Test): Promise<Browser> {
  const executablePath = findProgram('chromium');
  if (executablePath === undefined) throw new Error('the test needs chromium');
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
  const browser = await chromium.launch({ executablePath, args, timeout: WAIT_MS });
  t.teardown(() => browser.close());
  return browser;
}

export interface OpenPage {
  page: Page;
  context: BrowserContext;
  /** What the page has said or tried that it should not: errors, refusals by its policy, requests elsewhere. */
  faults: string[];
}

export async function openPage(
  browser: Browser,
  url: string,
  { width = 1_280, height = 800, context }: { width?: number; height?: number; context?: BrowserContext } = {},
): Promise<OpenPage> {
  const opened = context ?? (await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce' }));
  opened.setDefaultTimeout(WAIT_MS);
  const page = await opened.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A connection that is lost is told by the browser itself.
    if (message.type() === 'error' && !/WebSocket|Failed to load resource|ERR_/.test(message.text())) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    const to = request.url();
    if (/^(?:https?|wss?):/.test(to) && new URL(to).host !== new URL(url).host) faults.push(`request: ${to}`);
  });
  return { page, context: opened, faults };
}

/** Logs in with the token of the data folder, as a person types it. */
export async function logIn(page: Page, engine: Engine, url = engine.url): Promise<void> {
  await page.goto(url);
  await page.getByLabel('Token').fill(await engine.token());
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'New conversation' }).waitFor();
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text);
  await page.getByLabel('Message').press('Enter');
}

/** What axe finds wrong, in a line each. */
export async function violations(page: Page): Promise<string[]> {
  // The page's policy lets no script of others in: the debugger's way is not the page's.
  await page.evaluate(await readFile(AXE, 'utf8'));
  return page.evaluate(async () => {
    interface Found {
      violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[];
    }
    const { axe } = globalThis as unknown as { axe: { run(options: object): Promise<Found> } };
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const { violations } = await axe.run({ runOnly: { type: 'tag', values: tags } });
    return violations.flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ''}`),
    );
  });
}
